"""Blends: which models each averages, with which weights."""

from collections.abc import Sequence

from cifake_ray.console import counted
from cifake_ray.reporting.formatting import percent, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table

_ROWS = (
    "A blend is one model that averages the logits of models in best/; the rows of its studies are means over seeds. "
    "Its weights were chosen on the validation part, and the blend was tested once."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for each model that a blend was offered."""
    blends = [study for study in studies if study.is_blend]
    if not blends:
        return None
    methods = dict.fromkeys(study.records.blend.method for study in blends)
    rows = [row for study in blends for row in _rows(study)]
    return Section("Blends", tables=(Table(rows),), method=" ".join([_ROWS, *methods]))


def of_study(study: Study) -> Section:
    """The members of one blend."""
    note = study.records.blend
    chosen = f"Weights chosen by {note.metric} on {counted(note.validation_images or 0, 'validation image')}."
    rows = [{name: cell for name, cell in row.items() if name != "Blend"} for row in _rows(study)]
    return Section("What is averaged", (chosen,), (Table(rows),), method=f"{_ROWS} {note.method}")


def _rows(study: Study) -> list[dict[str, str]]:
    return [
        {
            "Blend": study.name,
            "Member": member.run,
            "Model": member.model,
            "Seed": whole(member.seed),
            "Weight": f"{member.weight:.2f}" if member.chosen else "not taken",
            "Validation % alone": percent(member.val_accuracy),
        }
        for member in study.records.blend.members
    ]

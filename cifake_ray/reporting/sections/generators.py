"""Test images by generator: each one's scores, their mean, spread and minimum, and what was left out of training."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import pandas as pd
from matplotlib.figure import Figure

from cifake_ray.reporting.by_group import FIGURES, Judged, by_generator, left_out, of_class, pooled, summarised
from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.formatting import NOTHING, decimal, groups_text, interval, percent, whole, with_interval
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import rows_panel, short_name, study_dot, study_handle, study_offset, study_span
from cifake_ray.reporting.section import Cell, Section, Small, Table
from cifake_ray.reporting.sections.evaluations import set_name
from cifake_ray.reporting.style import legend_above
from cifake_ray.runs.records import Evaluation, GroupRow, Interval
from cifake_ray.stats.groups import Summary

_WORDS = {"trained": "trained", "left out": "left out", "validated": "validated only", "not in train": "not in train"}
_MARKS = {"trained": "", "left out": "*", "validated": "†", "not in train": "*"}  # of a cell of the matrix
_METHOD = (
    "Of the tuned model, mean over seeds, on test images without duplicates. The FAKE images of a generator are "
    "compared with all REAL images: balanced accuracy is the mean of the two shares judged rightly; AP and AUC take "
    "FAKE as the positive class. Mean, standard deviation (±) and minimum are over the groups of 20 images or more; of "
    "smaller ones the number and the interval are shown. 95 % intervals: Wilson's of shares, MOVER's of balanced "
    "accuracy. Marks: * no image of this generator trained; † none trained, and its train images chose configuration "
    "and epoch."
)
_EXPENDABLE = ("AP", "AUC", "In training", "Study")  # columns that a narrow terminal does without, the first first


def build(studies: Sequence[Study]) -> Section | None:
    """Scores of each study by generator and over generators, of what it left out, and of images from elsewhere."""
    found = {study.name: by_generator(study) for study in studies}
    rows = [one for judged in found.values() for one in judged]
    elsewhere = [(study.name, noted) for study in studies for noted in study.records.evaluations if noted.groups]
    apart = left_out_table(studies)
    if not rows and not apart.rows and not elsewhere:
        return None
    alone = sum(map(bool, found.values())) == 1
    tables = [
        Table([_group_cells(one) for one in rows], terminal=None if alone else (), expendable=_EXPENDABLE),
        Table([cells for study in studies for cells in _over_generators(study, found[study.name])],
              title="Over generators", expendable=_EXPENDABLE),
        apart,
        _matrix(found),
        Table([_elsewhere_cells(study, noted, row) for study, noted in elsewhere for row in noted.groups],
              title="Images from elsewhere, by group", expendable=_EXPENDABLE),
    ]  # fmt: skip
    return Section(
        "By generator" if rows else "By group",
        [sentence for study in studies for sentence in _sentences(study)],
        [table for table in tables if table.rows],
        figures=(generators,),
        method=_METHOD,
        data={"generators.csv": _frame(studies, rows, elsewhere)},
    )


def left_out_table(studies: Sequence[Study]) -> Table:
    """A row for each group that a study left out of its training; mean, spread and minimum over several of these."""
    rows, apart = [], []
    for study in studies:
        real = of_class(study, 1)
        for one in left_out(study):
            apart.append(one)
            rows.append(
                {
                    "Left out": f"{one.row.column} {one.row.value}",
                    "Study": study.name,
                    "Images": whole(one.row.images),
                    "Judged rightly %": _share(one.row),
                    "R.Acc %": _with_limits(real.right) if real else NOTHING,
                    **_against_others(one.row),
                }
            )
    over = summarised(apart)
    for words, figure in (("mean", "mean"), ("spread (±)", "spread"), ("minimum", "minimum")):
        if sum(one.row.large for one in apart) > 1:
            cells = {name: _text(name)(getattr(found, figure)) for name, (found, _) in over.items()}
            cells["Judged rightly %"] = cells.pop("FAKE right %")
            rows.append({**dict.fromkeys(rows[0], ""), "Left out": words, **cells})
    return Table(rows, title="Left out of training", expendable=("AP", "AUC", "Images", "Study"))


def _sentences(study: Study) -> Iterator[str]:
    """Which images a study did not train on, by groups."""
    if out := study.experiment.data.leave_out:
        yield f"{study.name} neither trained nor chose by images of {groups_text(out)}."
    if unseen := study.records.environment.data.unseen:
        yield (
            f"{study.name} chose configurations and epochs by FAKE images of {', '.join(unseen)}, of which no image "
            "trained."
        )


def _group_cells(one: Judged) -> dict[str, str]:
    return {
        "Study": one.study,
        "Generator": one.row.value,
        "In training": _WORDS[one.part],
        "FAKE images": whole(one.row.images),
        "FAKE right %": _share(one.row),
        **_against_others(one.row),
    }


def _against_others(row: GroupRow) -> dict[str, str]:
    """Scores of a group beside the images of the other class; dashes where the group is small, or there are none."""
    return {
        "Balanced %": _with_limits(row.balanced_accuracy),
        "AP": decimal(row.average_precision),
        "AUC": decimal(row.auc),
    }


def _share(row: GroupRow) -> str:
    """The share judged rightly with its interval; of fewer than 20 images the interval alone."""
    return _with_limits(row.right) if row.large else interval(row.right.low, row.right.high)


def _with_limits(found: Interval) -> str:
    return with_interval(found.value, found.low, found.high)


def _over_generators(study: Study, rows: Sequence[Judged]) -> Iterator[dict[str, str]]:
    """A row over all generators, and one each over those that trained and the others, where there are both."""
    trained = [one for one in rows if one.part == "trained"]
    others = [one for one in rows if one.part != "trained"]
    real = of_class(study, 1)
    for words, some in (("all", rows), ("trained", trained if others else []), ("others", others if trained else [])):
        if some:
            found = summarised(some)
            yield {
                "Study": study.name,
                "Generators": f"{words}: {len(some)}",
                "R.Acc %": _with_limits(real.right) if real else NOTHING,
                "F.Acc %": _with_limits(pooled(some)),
                **{name: _over_cell(name, *found[name]) if name in found else NOTHING for name in FIGURES},
            }


def _over_cell(name: str, over: Summary, lowest: str) -> str:
    """`71.23 ± 3.40, min. 65.00 (nearest)`."""
    text = _text(name)
    spread = f" ± {text(over.spread)}" if over.spread == over.spread else ""
    return f"{text(over.mean)}{spread}, min. {text(over.minimum)} ({lowest})"


def _text(name: str) -> Callable[[float], str]:
    """How figures of a column are written."""
    return percent if name.endswith("%") else decimal


def _matrix(found: Mapping[str, list[Judged]]) -> Table:
    """Balanced accuracy of two studies or more on each generator; cells of generators that did not train are marked."""
    shown = {name: {one.row.value: one for one in rows} for name, rows in found.items() if rows}
    names = sorted({value for rows in shown.values() for value in rows})
    if len(shown) < 2:
        return Table([])
    rows = []
    for study, by_name in shown.items():
        over = summarised(list(by_name.values())).get("Balanced %")
        cells: dict[str, str | Cell] = {name: _matrix_cell(by_name.get(name)) for name in names}
        mean, minimum = (percent(over[0].mean), percent(over[0].minimum)) if over else (NOTHING, NOTHING)
        rows.append({"Trained in": study, **cells, "mean": mean, "minimum": minimum})
    above = "Balanced accuracy (%), studies by row, generators of the test images by column."
    return Table(rows, title="Trained on, tested on", above=above, expendable=("mean",))


def _matrix_cell(one: Judged | None) -> str | Cell:
    if one is None:
        return NOTHING
    value = one.row.balanced_accuracy.value
    text = f"{percent(value)}{_MARKS[one.part]}" if one.row.large else f"{one.row.images} images{_MARKS[one.part]}"
    if one.part == "trained":
        return text
    return Cell(text, (Small(_WORDS[one.part]),), strong=False)


def _elsewhere_cells(study: str, noted: Evaluation, row: GroupRow) -> dict[str, str]:
    right = row.right
    called = {"FAKE": right, "REAL": Interval(value=1 - right.value, low=1 - right.high, high=1 - right.low)}
    return {
        "Study": study,
        "Images": set_name(noted),
        "Group": f"{row.column} {row.value}",
        "Class": row.label or "both",
        "Number": whole(row.images),
        "Judged rightly %": _share(row),
        "Called FAKE %": _share(row.model_copy(update={"right": called[row.label]})) if row.label else NOTHING,
        **_against_others(row),
    }


def _frame(
    studies: Sequence[Study], rows: Sequence[Judged], elsewhere: Sequence[tuple[str, Evaluation]]
) -> pd.DataFrame:  # fmt: skip
    """Every row as numbers, 0..1: of the test part by generator, of groups left out, of images from elsewhere."""
    others = [one for study in studies for one in left_out(study) if one.row.column != "generator"]
    lines: list[tuple[str, str, str, GroupRow]]
    lines = [("test part", one.study, one.part, one.row) for one in (*rows, *others)]
    lines += [(set_name(noted), study, "elsewhere", row) for study, noted in elsewhere for row in noted.groups]
    return pd.DataFrame(
        [
            {"images": images, "study": study, "in_training": part, "column": row.column, "group": row.value,
             "class": row.label, "number": row.images, "right": row.right.value, "right_low": row.right.low,
             "right_high": row.right.high, "balanced_accuracy": row.balanced_accuracy.value,
             "balanced_low": row.balanced_accuracy.low, "balanced_high": row.balanced_accuracy.high,
             "average_precision": row.average_precision, "auc": row.auc}
            for images, study, part, row in lines
        ]
    )  # fmt: skip


@overview_figure(
    "generators",
    "Share of each generator's FAKE test images that is judged rightly, mean over seeds; hollow where no image of the "
    "generator trained.",
    title="FAKE images by generator",
)
def generators(studies: Sequence[Study]) -> Figure | None:
    """Share judged rightly of each generator's FAKE test images; of fewer than 20 images the interval."""
    found = [(number, study, by_generator(study)) for number, study in enumerate(studies)]
    found = [item for item in found if item[2]]
    names = sorted({one.row.value for _, _, rows in found for one in rows})
    if not names:
        return None
    figure, panel = rows_panel(names, [short_name(study) for _, study, _ in found])
    for rank, (number, study, rows) in enumerate(found):
        for one in rows:
            at, right = names.index(one.row.value) + study_offset(rank, len(found)), one.row.right
            study_span(panel, 100 * right.low, 100 * right.high, at, number)
            if one.row.large:
                study_dot(panel, 100 * right.value, at, number, hollow=one.part != "trained")
        study_handle(panel, number, short_name(study))
    panel.set_xlabel("FAKE test images judged rightly (%), 95 % interval")
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure

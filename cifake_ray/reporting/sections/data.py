"""The images of each study: what they are, how they were split, what was skipped."""

from collections.abc import Sequence
from typing import Any

from cifake_ray.reporting.formatting import listed, whole
from cifake_ray.reporting.load import Study, cards_of, section
from cifake_ray.reporting.section import Listing, Section, Table


def build(studies: Sequence[Study]) -> Section:
    """What the cards of the data sets say of the images."""
    return Section(caveats=[caveat for card in cards_of(studies) for caveat in card.caveats])


def of_study(study: Study) -> Section:
    """Facts about the images, and which files were skipped."""
    if not study.data:
        return Section("Data", remarks=("Not recorded yet.",))
    facts = Table([{"Fact": name, "Value": value} for name, value in _facts(study)], look="facts")
    skipped = [f"{file.get('name', '?')}: {file.get('reason', '?')}" for file in listed(study.data.get("skipped"))]
    folded = Listing(skipped, fold=f"Files skipped: {len(skipped)}", code=False)
    return Section("Data", tables=(facts,), listings=(folded,) if skipped else ())


def _facts(study: Study) -> list[tuple[str, str]]:
    data = study.data
    split = section(data, "split")
    return [
        ("Source", f"{data.get('source', '?')} ({data.get('kind', '?')})"),
        ("What it is", _what_it_is(study)),
        ("Fingerprint (SHA-256)", str(data.get("fingerprint", "?"))),
        ("Train part", _counted(section(data, "train"))),
        (
            "Split",
            f"{whole(split.get('train'))} train, {whole(split.get('validation'))} validation",
        ),
        ("Test part", _counted(section(data, "test"))),
        ("Test images that are also in train", whole(data.get("duplicates_in_test"))),
        ("Files skipped", whole(len(data.get("skipped") or []))),
        ("Images converted", _counted(section(data, "converted")) or "none"),
    ]


def _what_it_is(study: Study) -> str:
    """The images by their content, in words."""
    card = study.card
    if card.note or not card.title:
        return card.note or "images without a card"
    return f"{card.title}, whole and unchanged" if study.whole_test else f"a part of {card.title}"


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{whole(count) if isinstance(count, int) else count} {name}" for name, count in counts.items())

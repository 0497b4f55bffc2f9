"""The images of each study: what they are, how they were split, what was skipped."""

from collections.abc import Mapping, Sequence

from cifake_ray.reporting.formatting import whole
from cifake_ray.reporting.load import Study, cards_of
from cifake_ray.reporting.section import Listing, Section, Table


def build(studies: Sequence[Study]) -> Section:
    """What the cards of the data sets say of the images."""
    return Section(caveats=[caveat for card in cards_of(studies) for caveat in card.caveats])


def of_study(study: Study) -> Section:
    """Facts about the images, and which files were skipped."""
    data = study.records.environment.data
    if data.empty:
        return Section("Data", remarks=("Not recorded yet.",))
    facts = Table([{"Fact": name, "Value": value} for name, value in _facts(study)], look="facts")
    skipped = [f"{file.name or '?'}: {file.reason or '?'}" for file in data.skipped]
    folded = Listing(skipped, fold=f"Files skipped: {len(skipped)}", code=False)
    return Section("Data", tables=(facts,), listings=(folded,) if skipped else ())


def _facts(study: Study) -> list[tuple[str, str]]:
    data = study.records.environment.data
    return [
        ("Source", f"{data.source or '?'} ({data.kind or '?'})"),
        ("What it is", _what_it_is(study)),
        ("Fingerprint (SHA-256)", data.fingerprint or "?"),
        ("Train part", _counted(data.train)),
        ("Split", f"{whole(data.split.get('train'))} train, {whole(data.split.get('validation'))} validation"),
        ("Test part", _counted(data.test)),
        ("Test images that are also in train", whole(data.duplicates_in_test)),
        ("Files skipped", whole(len(data.skipped))),
        ("Images converted", _counted(data.converted) or "none"),
    ]


def _what_it_is(study: Study) -> str:
    """The images by their content, in words."""
    card = study.card
    if card.note or not card.title:
        return card.note or "images without a card"
    return f"{card.title}, whole and unchanged" if study.whole_test else f"a part of {card.title}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{whole(count)} {name}" for name, count in counts.items())

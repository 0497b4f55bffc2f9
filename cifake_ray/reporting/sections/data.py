"""The images of each study: what they are, how they were split, what was skipped."""

from collections.abc import Sequence
from typing import Any

from cifake_ray.data.taken import shown
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
    listings = [folded] if skipped else []
    return Section("Data", tables=(facts, *_taken(study.data)), listings=(*listings, *_left(study.data)))


def _taken(data: dict[str, Any]) -> tuple[Table, ...]:
    """Images of each part, class and group; none for runs that did not note them, or that have no groups."""
    rows = []
    for one in listed(data.get("taken")):
        groups = section(one, "groups")
        told = "; ".join(f"{name}: {shown(tally)}" for name, tally in groups.items() if isinstance(tally, dict))
        rows.append(
            {
                "Part": one.get("part", "?"),
                "Class": one.get("class", "?"),
                "Images": whole(one.get("images")),
                "Groups": told,
            }
        )
    return (Table(rows),) if any(row["Groups"] for row in rows) else ()


def _left(data: dict[str, Any]) -> tuple[Listing, ...]:
    """What lies under the source and was not used."""
    left = [
        f"{whole(one.get('count'))} {one.get('reason', '?')} ({', '.join(map(str, one.get('examples') or []))})"
        for one in listed(data.get("left"))
    ]
    return (Listing(left, fold=f"Not used of the source: {len(left)} kinds", code=False),) if left else ()


def _facts(study: Study) -> list[tuple[str, str]]:
    data = study.data
    split = section(data, "split")
    return [
        ("Source", f"{data.get('source', '?')} ({data.get('kind', '?')})"),
        ("What it is", _what_it_is(study)),
        ("Fingerprint (SHA-256)", str(data.get("fingerprint", "?"))),
        ("Fingerprint v2 (SHA-256)", str(data.get("fingerprint_v2") or "not recorded")),
        ("Train part", _counted(section(data, "train"))),
        (
            "Split",
            f"{whole(split.get('train'))} train, {whole(split.get('validation'))} validation",
        ),
        *_given(data),
        ("Test part", _counted(section(data, "test")) + _drawn(data)),
        ("Test images that are also in train", whole(data.get("duplicates_in_test"))),
        ("Files skipped", whole(len(data.get("skipped") or []))),
        ("Images converted", _counted(section(data, "converted")) or "none"),
    ]


def _given(data: dict[str, Any]) -> list[tuple[str, str]]:
    """A validation part that the source gives."""
    if "validation" not in data:
        return []
    dropped = whole(data.get("dropped_from_train"))
    told = f"{_counted(section(data, 'validation'))}, as given; train lost {dropped} copies of its images"
    return [("Validation part", told)]


def _drawn(data: dict[str, Any]) -> str:
    drawn = section(data, "test_drawn")
    if not drawn:
        return ""
    return f", drawn from the train part: {100 * drawn.get('fraction', 0):.0f} % by split seed {drawn.get('seed')}"


def _what_it_is(study: Study) -> str:
    """The images by their content, in words."""
    card = study.card
    if card.note or not card.title:
        return card.note or "images without a card"
    return f"{card.title}, whole and unchanged" if study.whole_test else f"a part of {card.title}"


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{whole(count) if isinstance(count, int) else count} {name}" for name, count in counts.items())

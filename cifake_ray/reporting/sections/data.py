"""The images of each study: what they are, how they were split, what was skipped."""

from collections.abc import Mapping, Sequence

from cifake_ray.data.taken import shown
from cifake_ray.data.transform import Transform
from cifake_ray.reporting.formatting import groups_text, whole
from cifake_ray.reporting.load import Study, cards_of
from cifake_ray.reporting.section import Listing, Section, Table
from cifake_ray.runs.records import DataNote


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
    listings = [folded] if skipped else []
    return Section("Data", tables=(facts, *_taken(data)), listings=(*listings, *_left(data)))


def _taken(data: DataNote) -> tuple[Table, ...]:
    """Images of each part, class and group; none for runs that did not note them, or that have no groups."""
    rows = [
        {
            "Part": one.part,
            "Class": one.label,
            "Images": whole(one.images),
            "Groups": "; ".join(f"{name}: {shown(tally)}" for name, tally in one.groups.items()),
        }
        for one in data.taken
    ]
    return (Table(rows),) if any(row["Groups"] for row in rows) else ()


def _left(data: DataNote) -> tuple[Listing, ...]:
    """What lies under the source and was not used."""
    left = [f"{whole(one.count)} {one.reason or '?'} ({', '.join(one.examples)})" for one in data.left]
    return (Listing(left, fold=f"Not used of the source: {len(left)} kinds", code=False),) if left else ()


def _facts(study: Study) -> list[tuple[str, str]]:
    data = study.records.environment.data
    return [
        ("Source", f"{data.source or '?'} ({data.kind or '?'})"),
        ("What it is", _what_it_is(study)),
        ("Fingerprint (SHA-256)", data.fingerprint or "?"),
        ("Fingerprint v2 (SHA-256)", data.fingerprint_v2 or "not recorded"),
        ("Train part", _counted(data.train)),
        ("Split", f"{whole(data.split.get('train'))} train, {whole(data.split.get('validation'))} validation"),
        *_given(data),
        *_groups(study),
        ("Test part", _counted(data.test) + _drawn(data)),
        ("Test images that are also in train", whole(data.duplicates_in_test)),
        ("Files skipped", whole(len(data.skipped))),
        ("Images converted", _counted(data.converted) or "none"),
        ("Pictures as the model sees them", _seen(study)),
    ]


def _seen(study: Study) -> str:
    """Each transform of the study in words; of pictures held in one small size, what the model then takes of them."""
    model, names = study.experiment.model, study.records.environment.data.transforms
    transforms = [Transform.named(name) for name in names]
    if not transforms:
        return "not recorded"
    first = transforms[0]
    if first.fit != "resize" or first.reduced:
        return "; ".join(transform.words for transform in transforms)
    held = f"whole picture of {first.side} x {first.side} pixels"
    return held if model.fit == "resize" else f"{held}, of it the {Transform(model.fit, model.largest_size).words}"


def _groups(study: Study) -> list[tuple[str, str]]:
    """Groups that did not train, or that validated alone, and the degradations by which the study chose."""
    data = study.records.environment.data
    facts = {
        "Left out of training": groups_text(study.experiment.data.leave_out),
        "Validated by generators that did not train": ", ".join(data.unseen),
        "Degradations of val_degraded": ", ".join(data.degraded),
    }
    return [(name, value) for name, value in facts.items() if value]


def _given(data: DataNote) -> list[tuple[str, str]]:
    """A validation part that the source gives."""
    if not data.validation:
        return []
    dropped = whole(data.dropped_from_train)
    return [("Validation part", f"{_counted(data.validation)}, as given; train lost {dropped} copies of its images")]


def _drawn(data: DataNote) -> str:
    drawn = data.test_drawn
    if drawn is None:
        return ""
    return f", drawn from the train part: {100 * drawn.fraction:.0f} % by split seed {drawn.seed}"


def _what_it_is(study: Study) -> str:
    """The images by their content, in words."""
    card = study.card
    if card.note or not card.title:
        return card.note or "images without a card"
    return f"{card.title}, whole and unchanged" if study.whole_test else f"a part of {card.title}"


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{whole(count)} {name}" for name, count in counts.items())

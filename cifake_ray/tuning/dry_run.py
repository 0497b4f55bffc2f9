"""`--dry-run`: every check that a study makes before its first trial, without decoding all images or starting Ray."""

from functools import partial
from itertools import islice

from cifake_ray.address import check_address
from cifake_ray.data.audit.balance import unbalanced
from cifake_ray.data.audit.bias import bias_of_source
from cifake_ray.data.audit.bias_text import before_and_after, warning
from cifake_ray.data.datasets import CARDS, sample_native
from cifake_ray.data.decoding.decode import decode_image
from cifake_ray.data.decoding.items import Item, UnreadableError, read_item
from cifake_ray.data.groups import Columns, check_generators, check_groups, columns_of_source
from cifake_ray.data.images import counts
from cifake_ray.data.packing import likely_side
from cifake_ray.data.refusals import check_pictures_fit, check_refused
from cifake_ray.data.sources.find import SAMPLE_NATIVE, Contents, Encoded, find_source
from cifake_ray.data.sources.reading import Reading, reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import GENERATOR, SAMPLES, Experiment
from cifake_ray.runs.columns import LABELS
from cifake_ray.tuning.disk import beyond_pictures
from cifake_ray.tuning.ray_cluster.capacity import Capacity
from cifake_ray.tuning.request import StudyRequest
from cifake_ray.tuning.squares import check_squares
from cifake_ray.tuning.study_inputs import check_network

_TRIED = 20  # images of a class, of which one must be readable


def rehearse(request: StudyRequest) -> tuple[int, list[str]]:
    """Trials at once, and what was found or not checked, a line each. Raises InputError as the study would."""
    experiment = request.experiment
    slots = Capacity.here(experiment).trials
    check_address(request.address)
    check_network(experiment)
    lines = [] if request.resume else _rehearse_images(experiment)
    lines += _rehearse_weights(experiment)
    if request.parents:
        from cifake_ray.tuning.warm_start.transfer import transfer

        lines += transfer(request.parents, experiment, None).lines
    if request.address is not None:
        lines.append(f"not checked: the cluster at {request.address}; `cifake-ray doctor --address` does")
    return slots, lines


def _rehearse_images(experiment: Experiment) -> list[str]:
    data = experiment.data
    source, reading = data.source, reading_of(data)
    found = find_source(source, reading=reading)
    contents = Contents() if found.kind in SAMPLES else found.read()
    sizes = {part: len(encoded.labels) for part, encoded in contents.parts.items()}
    columns = _known_groups(found.kind, contents)
    check_groups(data, columns, sizes)
    check_generators(experiment.search.metric, columns)
    if found.kind in SAMPLES:
        return []
    check_refused(source, contents.parts)
    check_squares(experiment, likely_side([item for part in contents.parts.values() for item in part.items]))
    check_pictures_fit(contents.parts, partial(beyond_pictures, experiment, []))
    for part, encoded in contents.parts.items():
        for code, label in enumerate(LABELS):
            _check_one(source, f"{part}/{label}", encoded, code)
    lines = [*contents.said, *(f"{part}: {counts(encoded.labels)}" for part, encoded in contents.parts.items())]
    lines += _drawn(reading)
    train = contents.parts["train"]
    said = unbalanced("train", {label: int((train.labels == code).sum()) for code, label in enumerate(LABELS)})
    known = sizes in [dict(card.images) for card in CARDS.values()]  # by number: their content is not decoded here
    bias = None if known else bias_of_source(source, reading)
    after = bias_of_source(source, reading, reading.neutral) if bias and reading.neutral else None
    lines += before_and_after(bias, after) if bias and after else []
    lines += [f"warning: {one}" for one in (said, warning(after or bias)) if one]
    lines += [f"not used: {left}" for left in contents.left]
    return [*lines, "not checked: images but one of each class, and copies among them; the study decodes all first"]


def _drawn(reading: Reading) -> list[str]:
    if reading.test_fraction is None:
        return []
    return [
        f"test: drawn from the train images, {100 * reading.test_fraction:.0f} % by split seed {reading.split_seed}"
    ]


def groups_before_decoding(experiment: Experiment) -> Columns:
    """The groups of the train part as far as the source names them. Raises InputError as `find_source` does."""
    found = find_source(experiment.data.source, reading=reading_of(experiment.data))
    return _known_groups(found.kind, Contents() if found.kind in SAMPLES else found.read())


def _known_groups(kind: str, contents: Contents) -> Columns:
    """The groups of the train part; those of a built-in sample without drawing the sample."""
    if kind == SAMPLE_NATIVE:
        return {GENERATOR: sample_native.GENERATORS}
    return columns_of_source(contents.parts)


def _check_one(source: str, place: str, part: Encoded, code: int) -> None:
    """Raise InputError when the class has no image, or the first ones cannot be read."""
    items: list[Item] = [part.items[at] for at in islice((part.labels == code).nonzero()[0].tolist(), _TRIED)]
    if not items:
        raise InputError(f"{source}: no image in {place}", "a detector needs both FAKE and REAL images")
    reason = ""
    for item in items:
        try:
            decode_image(read_item(item), None)
        except UnreadableError as error:
            reason = reason or str(error)
        else:
            return
    raise InputError(f"{source}: none of the first {len(items)} files in {place} can be read ({reason})", "mend them")


def _rehearse_weights(experiment: Experiment) -> list[str]:
    """Raises InputError when the weights' files are here and cannot be used."""
    if not experiment.model.weight_names:
        return []
    from cifake_ray.models.registry import family_of

    absent = family_of(experiment.model).absent_weights(experiment)
    return [f"not checked: weights {name} are not here and would be downloaded first" for name in absent]

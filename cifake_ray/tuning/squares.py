"""The squares that the trials of a study train on: which transforms a study needs, and their arrays in the cache."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cifake_ray.console import Progress, progress
from cifake_ray.data.images import Part
from cifake_ray.data.squares import hold, squares_path
from cifake_ray.data.transform import Transform, model_transform, native_transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import WINDOWED, Experiment, ModelSettings, configurations_of, join_plus
from cifake_ray.tuning.monitor.phases import say_phase

if TYPE_CHECKING:
    from cifake_ray.models.passes import FeatureSpec

MOST_TRANSFORMS = 32  # each is an array of all pictures; a space with more is nearly always a range without a step


def trial_transform(study: Experiment, model: ModelSettings, side: int | None) -> Transform:
    """The transform whose squares a trial of this model trains on; `side`: as `Part.side`.

    Where any trial of the study draws its squares anew (`window`), all squares stand in native pixels around them.
    """
    made = model_transform(model, side)
    if side is not None or model.fit not in WINDOWED or not _draws_windows(study):
        return made
    return replace(made, room=study.data.store_side or 2 * max(other.largest_size for other in study_models(study)))


def study_transforms(study: Experiment, side: int | None) -> list[Transform]:
    """Every transform that a trial may request, the baseline's first."""
    return list(dict.fromkeys(trial_transform(study, model, side) for model in study_models(study)))


def degraded_copies(study: Experiment) -> int:
    """How many degraded copies of the validation pictures trials judge; 0 unless the study chooses by them."""
    if not study.search.metric.on_degraded:
        return 0
    from cifake_ray.data.corruptions import light_corruptions  # imports SciPy, which most studies need not

    return len(light_corruptions(1))


def degraded_transforms(study: Experiment, side: int | None, specs: "Sequence[FeatureSpec]") -> list[Transform]:
    """The transforms whose squares are degraded: of every model or pass of the study, without room for `window`."""
    if side is not None:
        return [Transform("resize", side)]
    if specs:
        return list(dict.fromkeys(native_transform(spec.fit, spec.side) for spec in specs))
    return list(dict.fromkeys(model_transform(model, None) for model in study_models(study)))


def check_squares(study: Experiment, side: int | None) -> None:
    """Raise InputError for too many transforms of images to train on, and for `window` where no image leaves room."""
    if study.model.takes_features:
        return
    if side is None and (count := len(study_transforms(study, side))) > MOST_TRANSFORMS:
        raise InputError(
            f"search_space: image_size and fit give {count} arrays of all pictures (at most {MOST_TRANSFORMS})",
            "give image_size `choices`, or a `step` such as 32",
        )
    smallest = min(model.largest_size for model in study_models(study))
    if side is not None and smallest >= side and _draws_windows(study):
        raise InputError(
            f"training.augment: window has no room: the images have {side} x {side} pixels, and image_size is "
            f"{smallest}",
            f"set model.image_size below {side}, or take crop (pad and shift) instead of window",
        )


def hold_squares(study: Experiment, part: Part, check: Callable[[], None]) -> dict[Transform, Path]:
    """Cache entries with the part's pictures as squares, for every transform of images that a trial may request.

    Those that the cache lacks are made over all cores; `check` is called meanwhile, and raises to end this. Nothing for
    pictures held in one small size. Raises InputError when the cache cannot be written.
    """
    if study.model.takes_features or part.side is not None:
        return {}
    wanted = study_transforms(study, part.side)
    for number, transform in enumerate(wanted, 1):
        of = f" ({number} of {len(wanted)})" if len(wanted) > 1 else ""
        say_phase(study, "images", f"pictures as squares, {transform.name}{of}")
        with progress(f"pictures as squares, {transform.name}", "pictures") as update:
            hold(part, transform, partial(_checked, check, update))
    return {transform: squares_path(part, transform) for transform in wanted}


def _checked(check: Callable[[], None], update: Progress, done: int, total: int) -> None:
    check()
    update(done, total)


def study_models(study: Experiment) -> Iterator[ModelSettings]:
    """The model of every combination of fit and image size that a trial may have, the baseline's first."""
    model = study.model
    yield model
    for params in configurations_of(study.search_space, ("fit", "image_size")):
        known = {name: value for name, value in params.items() if name in type(model).model_fields}
        yield type(model).model_validate(model.model_dump() | known)


def _draws_windows(study: Experiment) -> bool:
    combined = configurations_of(study.search_space, ("augment",))
    searched = (str(params.get("augment", "")) for params in combined)
    return any("window" in augment.split("+") for augment in (join_plus(study.training.augment), *searched))

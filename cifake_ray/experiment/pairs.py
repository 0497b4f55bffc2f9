"""Refuse values that cannot work together: sampler, scheduler, second objective, search space, model, augmentation."""

import math
from collections.abc import Iterator

from cifake_ray.experiment.configurations import Space, configurations_of, count_configurations, count_values
from cifake_ray.experiment.model import Model
from cifake_ray.experiment.search import GENERATOR, Data, Search
from cifake_ray.experiment.space import CategoricalDimension
from cifake_ray.experiment.training import STRENGTHS, Training
from cifake_ray.experiment.values import join_plus, split_plus
from cifake_ray.fits import WINDOWED

MOST_CONFIGURATIONS = 100_000  # that are ever listed: a grid's, or those left of a finite space
_MOST_SHOWN = 10**15
_UNCONDITIONAL = ("gp", "cmaes", "qmc", "nsga2")  # samplers of Optuna that draw conditional dimensions at random


def check_pairs(search: Search, space: Space, model: Model, training: Training) -> None:
    """Raise ValueError (one line with a way out) for a pair that cannot work; an empty space has none."""
    if not space:
        return
    _check_sampler(search, space)
    if search.scheduler == "hyperband" and training.epochs < search.grace_epochs * search.reduction_factor:
        raise ValueError(
            f"search.scheduler: hyperband needs training.epochs of at least grace_epochs x reduction_factor = "
            f"{search.grace_epochs * search.reduction_factor}, got {training.epochs}; use asha or none"
        )
    if search.second_objective == "inference_ms" and model.takes_features:
        raise ValueError(
            "search.second_objective: inference_ms of a head on cached features leaves out its backbone, which takes "
            "most of the time; use parameters"
        )


def check_augmentation(space: Space, model: Model, training: Training, data: Data) -> None:
    """Raise ValueError (one line with a way out) for augmentations of a frozen backbone, and `window` without room."""
    combined = list(_fits_and_augmentations(space, model, training))
    if model.takes_features:
        _check_copies(space, model, training, any(augment for _, augment in combined))
    for fit, augment in combined:
        if "window" in augment and fit not in WINDOWED:
            raise ValueError(_window_refusal(fit, searched=fit != model.fit or "window" not in training.augment))
    largest = max(_sizes(space, model))
    windows = any("window" in augment for _, augment in combined)
    if windows and data.store_side is not None and data.store_side < largest:
        raise ValueError(
            f"data.store_side: window draws squares of image_size {largest} from {data.store_side} native pixels; "
            f"give {2 * largest}, or remove the key"
        )


def _check_copies(space: Space, model: Model, training: Training, augmented: bool) -> None:
    """Raise ValueError unless a frozen backbone has augmented copies and augmentations to draw them by, or neither."""
    copied = bool(model.copy_looks) or "copies" in space
    if augmented and not copied:
        where = "training.augment" if training.augment else "search_space.augment"
        raise ValueError(
            f"{where}: a frozen backbone trains on cached features, so images cannot be augmented anew; set "
            "model.copies (augmented copies, whose features are cached), or remove the key and name model.views, of "
            "which training draws one an image and step"
        )
    if copied and not training.augment:
        raise ValueError(f"model.copies: name how they are augmented, as training.augment: [{', '.join(STRENGTHS)}]")
    if copied and (other := next((name for name in training.augment if name not in STRENGTHS), None)):
        raise ValueError(
            f"training.augment: {other} is not for the copies of a frozen backbone; expected {', '.join(STRENGTHS)}; "
            "pictures are mirrored and shifted by model.views"
        )
    drawn = {"augment", *(name for names in STRENGTHS.values() for name in names)} & {*space}
    if copied and drawn:
        raise ValueError(
            f"search_space.{min(drawn)}: the copies of a frozen backbone are drawn once for all trials; remove the key"
        )


def check_disjoint(data: Data) -> None:
    """Raise ValueError (one line with a way out) for a generator that is to validate and is left out."""
    named = data.unseen if isinstance(data.unseen, tuple) else ()
    if both := [name for name in named if name in data.leave_out.get(GENERATOR, ())]:
        raise ValueError(f"data.validate: {both[0]} is left out by data.leave_out; name another generator")


def _fits_and_augmentations(space: Space, model: Model, training: Training) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every pair of `fit` and `augment` that a trial may have, the baseline's first."""
    yield model.fit, training.augment
    for params in configurations_of(space, ("fit", "augment")):
        yield params.get("fit", model.fit), split_plus(params.get("augment", join_plus(training.augment)))


def _window_refusal(fit: str, *, searched: bool) -> str:
    """Why `window` cannot work with this fit, and how to mend the experiment."""
    why = {
        "resize": "fit resize shows the whole picture",
        "tiles": "fit tiles has its squares at the centre and in the corners",
    }[fit]
    if searched:
        return (
            f"search_space: a trial may combine the augmentation window with fit {fit}, and {why}; search augment "
            "with `when: {fit: [crop]}`, remove window from its choices, or start from fit crop and search no other"
        )
    return (
        f"training.augment: window draws the square anew within the picture, and {why}; set model.fit to crop or "
        "repeat, or remove window"
    )


def _sizes(space: Space, model: Model) -> list[int]:
    """Pixels of the inputs that trials may have."""
    dimension = space.get("image_size")
    if dimension is None or isinstance(dimension, CategoricalDimension):
        choices = () if dimension is None else dimension.choices
        return [*model.sizes, *(int(size) for choice in choices for size in str(choice).split("+"))]
    return [model.largest_size, int(dimension.high)]


def _check_sampler(search: Search, space: Space) -> None:
    conditional = [name for name, dimension in space.items() if dimension.when]
    if conditional and search.sampler in _UNCONDITIONAL:
        raise ValueError(
            f"search.sampler: {search.sampler} cannot model dimensions with `when` ({', '.join(conditional)}); "
            "use tpe, random or grid"
        )
    if search.sampler == "cmaes" and search.second_objective:
        raise ValueError("search.sampler: cmaes has one objective; remove second_objective, or use tpe, gp or nsga2")
    numbers = [name for name, dim in space.items() if not isinstance(dim, CategoricalDimension) and dim.low < dim.high]
    if search.sampler == "cmaes" and len(numbers) < 2:
        raise ValueError(
            f"search.sampler: cmaes needs two dimensions of type float or int, got {len(numbers)} "
            "(it cannot model categories); use tpe"
        )
    if search.sampler == "grid":
        _check_grid(space)


def _check_grid(space: Space) -> None:
    for name, dimension in space.items():
        if math.isinf(count_values(dimension)):
            raise ValueError(
                f"search_space.{name}: a grid needs values to count; give it step, make it categorical with choices, "
                "or use another search.sampler"
            )
    if (count := count_configurations(space)) > MOST_CONFIGURATIONS and math.isfinite(count):
        shown = f"{count:,.0f}" if count < _MOST_SHOWN else f"over {_MOST_SHOWN:,}"
        raise ValueError(
            f"search.sampler: the grid has {shown} configurations, more than {MOST_CONFIGURATIONS:,}; "
            "give int dimensions a step or fewer values, or use random"
        )

"""Which passes of a frozen backbone an experiment needs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cifake_ray.errors import InputError
from cifake_ray.experiment import (
    CategoricalDimension,
    Experiment,
    FloatDimension,
    IntDimension,
    ResNet50Model,
)
from cifake_ray.models.weights import Weights, deepest_stage, resolve_weights

MOST_PASSES = 32  # each is a pass over all images; a space with more is nearly always a range without a step


@dataclass(frozen=True)
class FeatureSpec:
    """One backbone pass: these weights, images resized to `image_size` pixels, cut after `last_stage`.

    `asked`: the weights as the experiment names them, which may be a path.
    """

    weights: Weights
    image_size: int
    last_stage: str
    asked: str = ""

    @property
    def key(self) -> tuple[str, int]:
        """The experiment's `weights` and `image_size`, by which a trial finds its features."""
        return self.asked or self.weights.name, self.image_size


def feature_specs(experiment: Experiment, *, progress: Callable[[int, int], None] | None = None) -> list[FeatureSpec]:
    """Every (weights, image_size) that a trial may ask for, the baseline's first, each up to the deepest stage.

    `progress`: bytes done and in all, should weights be downloaded. [] without a frozen backbone. Raises InputError
    when weights are missing or lack a stage, or the space asks for more than 32 passes.
    """
    if not isinstance(experiment.model, ResNet50Model):
        return []
    sizes = _values(experiment, "image_size")
    names = _values(experiment, "weights")
    if len(sizes) * len(names) > MOST_PASSES:
        raise InputError(
            f"search_space.image_size: {len(sizes)} sizes x {len(names)} weights are as many passes over all images "
            f"(at most {MOST_PASSES}); give `choices`, or a `step` such as 32"
        )
    stages = {stage for value in _values(experiment, "stages") for stage in _split(value)}
    deepest = deepest_stage(stages)
    weights = {str(name): resolve_weights(str(name), [deepest], progress=progress) for name in names}
    return [FeatureSpec(found, int(size), deepest, name) for name, found in weights.items() for size in sizes]


def _values(experiment: Experiment, key: str) -> list[Any]:
    """The baseline's value of a model key, then every other value that its dimension holds."""
    dimension = experiment.search_space.get(key)
    found: list[Any] = [getattr(experiment.model, key)]
    if isinstance(dimension, CategoricalDimension):
        found += dimension.choices
    elif isinstance(dimension, IntDimension):
        found += range(dimension.low, dimension.high + 1, dimension.step)
    elif isinstance(dimension, FloatDimension):
        raise InputError(f"search_space.{key}: pixels are whole numbers; use type int or categorical")
    return list(dict.fromkeys(found))


def _split(value: Any) -> tuple[str, ...]:
    """A choice of several stages is written joined by `+`."""
    return tuple(value.split("+")) if isinstance(value, str) else tuple(value)

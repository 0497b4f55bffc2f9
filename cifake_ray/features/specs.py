"""Which passes of a frozen backbone an experiment needs."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cifake_ray.errors import InputError
from cifake_ray.experiment import (
    BackboneModel,
    CategoricalDimension,
    Experiment,
    FloatDimension,
    IntDimension,
    deepest,
    pooled_columns,
    taps_of,
    up_to,
)
from cifake_ray.models.weights import Weights, resolve_weights

MOST_PASSES = 32  # each is a pass over all images; a space with more is nearly always a range without a step
ALWAYS = ("mean", "std")  # of every stage on the way: they cost next to nothing, and the next study may ask for them


@dataclass(frozen=True)
class FeatureSpec:
    """One backbone pass: these weights, a view of the images resized to `image_size` pixels, cut after `last_stage`.

    `more`: `stage.statistic` that trials may ask for, besides the mean and std of every whole stage.
    `asked`: the weights as the experiment names them, which may be a path.
    """

    weights: Weights
    image_size: int
    last_stage: str
    asked: str = ""
    view: str = "identity"
    more: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, int, str]:
        """The experiment's `weights` and `image_size`, and the view, by which a trial finds its features."""
        return self.asked or self.weights.name, self.image_size, self.view

    @property
    def columns(self) -> tuple[str, ...]:
        """Every `stage.statistic` of the pass."""
        stages = [
            name for name in up_to(self.weights.kind, self.last_stage) if taps_of(self.weights.kind)[name].stage == name
        ]
        return tuple(dict.fromkeys([f"{stage}.{name}" for stage in stages for name in ALWAYS] + list(self.more)))


def feature_specs(experiment: Experiment, *, progress: Callable[[int, int], None] | None = None) -> list[FeatureSpec]:
    """Every (weights, image_size, view) that a trial may ask for, the baseline's first, up to the deepest stage.

    `progress`: bytes done and in all, should weights be downloaded. [] without a frozen backbone. Raises InputError
    when weights are missing or lack a stage, or the space asks for more than 32 passes.
    """
    model = experiment.model
    if not isinstance(model, BackboneModel) or not model.frozen:
        return []
    names = _values(experiment, "weights")
    sizes, views = (
        list(dict.fromkeys(item for value in _values(experiment, key) for item in _split(value)))
        for key in ("image_size", "views")
    )
    if len(sizes) * len(names) * len(views) > MOST_PASSES:
        raise InputError(
            f"search_space.image_size: {len(sizes)} sizes x {len(names)} weights x {len(views)} views are as many "
            f"passes over all images (at most {MOST_PASSES}); give `choices`, or a `step` such as 32"
        )
    last, columns = asked_columns(experiment)
    return [
        FeatureSpec(found, int(size), last, name, view, columns)
        for name, found in backbone_weights(experiment, progress=progress).items()
        for size in sizes
        for view in views
    ]


def backbone_weights(
    experiment: Experiment, *, progress: Callable[[int, int], None] | None = None
) -> dict[str, Weights]:
    """Every set of weights that a trial may ask for, by the name that it asks by; {} without a backbone.

    Raises InputError when weights are missing or lack a stage.
    """
    model = experiment.model
    if not isinstance(model, BackboneModel):
        return {}
    last, _ = asked_columns(experiment)
    names = weight_names(experiment)
    return {name: resolve_weights(model.kind, name, [last], progress=progress) for name in names}


def weight_names(experiment: Experiment) -> list[str]:
    """The names of weights that a trial may request, without repeats."""
    return [str(name) for name in _values(experiment, "weights")]


def asked_columns(experiment: Experiment) -> tuple[str, tuple[str, ...]]:
    """The deepest stage or block that a trial may ask for, and every `stage.statistic`."""
    kind = experiment.model.kind
    stages, pools = ([_split(value) for value in _values(experiment, key)] for key in ("stages", "pool"))
    columns = [column for one, pool in itertools.product(stages, pools) for column in pooled_columns(kind, one, pool)]
    return deepest(kind, (stage for one in stages for stage in one)), tuple(dict.fromkeys(columns))


def model_specs(model: BackboneModel, weights: Weights, view: str) -> list[FeatureSpec]:
    """The passes that one trained model needs for a view: one a size."""
    last = deepest(model.kind, model.stages)
    return [FeatureSpec(weights, size, last, model.weights, view, model.columns) for size in model.sizes]


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


def _split(value: Any) -> tuple[Any, ...]:
    """A choice of several is written joined by `+`."""
    if isinstance(value, int):
        return (value,)
    parts = value.split("+") if isinstance(value, str) else value
    return tuple(int(part) if str(part).isdigit() else part for part in parts)

"""The search space in Optuna's words, and the sampler that proposes from it."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cifake_ray.experiment import CategoricalDimension, Dimension, Experiment, FloatDimension, IntDimension


def distributions(experiment: Experiment) -> dict[str, BaseDistribution]:
    """Each search-space dimension as an Optuna distribution."""
    return {name: _distribution(dimension) for name, dimension in experiment.search_space.items()}


def _distribution(dimension: Dimension) -> BaseDistribution:
    match dimension:
        case FloatDimension(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntDimension(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalDimension(choices=choices):
            return CategoricalDistribution(choices)


def build_sampler(experiment: Experiment, proposed: int) -> optuna.samplers.BaseSampler:
    """The sampler, seeded by `training.seed` and how many trials were `proposed` before: a resumed study goes on with
    new proposals, not the same ones again. A quarter of the trials (4 to 10) is drawn at random before TPE models."""
    seed = experiment.training.seed + proposed
    if experiment.search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    startup = min(10, max(4, experiment.search.trials // 4))
    return optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True)


def space_size(space: dict[str, BaseDistribution]) -> float:
    """How many configurations the space holds; infinite with a continuous dimension."""
    return math.prod(len(values) if (values := _values(dist)) is not None else math.inf for dist in space.values())


def all_configurations(space: dict[str, BaseDistribution]) -> Iterator[dict[str, Any]]:
    """Every configuration of a finite space."""
    grids = [_values(dist) or [] for dist in space.values()]
    return (dict(zip(space, values, strict=True)) for values in itertools.product(*grids))


def _values(distribution: BaseDistribution) -> list[Any] | None:
    """The values of a discrete dimension, None for a continuous one."""
    match distribution:
        case CategoricalDistribution():
            return list(distribution.choices)
        case IntDistribution():
            return list(range(distribution.low, distribution.high + 1, distribution.step))
        case FloatDistribution(step=float(step)):
            low, high = distribution.low, distribution.high
            return [min(low + i * step, high) for i in range(round((high - low) / step) + 1)]
        case FloatDistribution() if distribution.single():
            return [distribution.low]
    return None

"""What cannot work together: sampler, scheduler, second objective, search space, model."""

import math

from cifake_ray.experiment.configurations import Space, count_configurations, count_values
from cifake_ray.experiment.model import Model
from cifake_ray.experiment.search import Search
from cifake_ray.experiment.space import CategoricalDimension
from cifake_ray.experiment.training import Training

MOST_CONFIGURATIONS = 100_000  # that are ever listed: a grid's, or those left of a finite space
_MOST_SHOWN = 10**15
_UNCONDITIONAL = ("gp", "cmaes", "qmc", "nsga2")  # samplers of Optuna that draw conditional dimensions at random


def check_pairs(search: Search, space: Space, model: Model, training: Training) -> None:
    """Raise ValueError (one line with a way out) for a pair that cannot work. Nothing is searched: nothing is wrong."""
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

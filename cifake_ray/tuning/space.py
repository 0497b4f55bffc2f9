"""The search space in Optuna's words, and the sampler that proposes from it."""

import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from cifake_ray.experiment import (
    CategoricalDimension,
    Dimension,
    Experiment,
    FloatDimension,
    IntDimension,
    is_active,
    parents_first,
)


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


def suggest_params(trial: optuna.Trial, space: Mapping[str, Dimension]) -> dict[str, Any]:
    """Let the trial's sampler choose every dimension that is active, parents before those that depend on them."""
    params: dict[str, Any] = {}
    for name in parents_first(space):
        dimension = space[name]
        if not is_active(dimension, params):
            continue
        match dimension:
            case FloatDimension(low=low, high=high, log=log, step=step):
                params[name] = trial.suggest_float(name, low, high, log=log, step=step)
            case IntDimension(low=start, high=end, log=log, step=whole_step):
                params[name] = trial.suggest_int(name, start, end, log=log, step=whole_step)
            case CategoricalDimension(choices=choices):
                params[name] = trial.suggest_categorical(name, choices)
    return params


def build_sampler(experiment: Experiment, proposed: int) -> optuna.samplers.BaseSampler:
    """The sampler, seeded by `training.seed` and how many trials were `proposed` before: a resumed study continues with
    new proposals, not the same ones again. A quarter of the trials (4 to 10) is drawn at random before a model is made.

    QMC keeps its place in its sequence in the journal, so its seed, which makes the sequence, stays the same. A grid's
    configurations are listed by the search itself: Optuna's GridSampler raises outside of `optimize`.
    """
    search, seed = experiment.search, experiment.training.seed + proposed
    startup = min(10, max(4, search.trials // 4))
    samplers = optuna.samplers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group`
        match search.sampler:
            case "tpe":
                conditional = any(dimension.when for dimension in experiment.search_space.values())
                group = conditional and search.second_objective is None
                return samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True, group=group)
            case "gp":
                return samplers.GPSampler(seed=seed, n_startup_trials=startup)
            case "cmaes":
                categories = samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=False)
                return samplers.CmaEsSampler(seed=seed, independent_sampler=categories, warn_independent_sampling=False)
            case "qmc":
                return samplers.QMCSampler(
                    seed=experiment.training.seed, scramble=True, warn_independent_sampling=False
                )
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=startup)
    return samplers.RandomSampler(seed=seed)

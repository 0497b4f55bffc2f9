"""The search space in Optuna's words, and the sampler that proposes from it."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial

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


def configuration_key(params: Mapping[str, Any]) -> frozenset[tuple[str, str]]:
    """Equal for equal configurations: a step reaches 0.30000000000000004 where the baseline says 0.3."""
    return frozenset((name, f"{v:.12g}" if isinstance(v, float) else repr(v)) for name, v in params.items())


def build_sampler(
    experiment: Experiment, proposed: int, known: Sequence[FrozenTrial] = ()
) -> optuna.samplers.BaseSampler:
    """The sampler, seeded by `training.seed` and how many trials were `proposed` before: a resumed study continues with
    new proposals, not the same ones again. A quarter of the trials (4 to 10) is drawn at random before a model is made.

    QMC keeps its place in its sequence in the journal, so its seed, which makes the sequence, stays the same. A grid's
    configurations are listed by the search itself: Optuna's GridSampler raises outside of `optimize`.

    known: trials of other studies, complete ones. CMA-ES begins from their distribution (Nomura et al. 2021, arXiv
    2012.06932); the other samplers read these trials from their study.
    """
    search, seed = experiment.search, experiment.training.seed + proposed
    startup = min(10, max(4, search.trials // 4))
    samplers = optuna.samplers
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)  # `group`, `source_trials`
        match search.sampler:
            case "tpe":
                conditional = any(dimension.when for dimension in experiment.search_space.values())
                group = conditional and search.second_objective is None
                return samplers.TPESampler(seed=seed, n_startup_trials=startup, constant_liar=True, group=group)
            case "gp":
                return samplers.GPSampler(seed=seed, n_startup_trials=startup)
            case "cmaes":
                categories = samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=False)
                return samplers.CmaEsSampler(
                    seed=seed, independent_sampler=categories, warn_independent_sampling=False,
                    source_trials=[_numbers_of(trial) for trial in known] or None,
                )  # fmt: skip
            case "qmc":
                return samplers.QMCSampler(
                    seed=experiment.training.seed, scramble=True, warn_independent_sampling=False
                )
            case "nsga2":
                return samplers.NSGAIISampler(seed=seed, population_size=startup)
    return samplers.RandomSampler(seed=seed)


def _numbers_of(trial: FrozenTrial) -> FrozenTrial:
    """The trial in the dimensions that CMA-ES models: numbers, of more than one value."""
    modelled = {name: one for name, one in trial.distributions.items()
                if not isinstance(one, CategoricalDistribution) and not one.single()}  # fmt: skip
    params = {name: trial.params[name] for name in modelled}
    return optuna.trial.create_trial(params=params, distributions=modelled, value=trial.value)

"""Which hyperparameters mattered in a search, by Optuna."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cifake_ray.experiment import CategoricalDimension, Dimension, FloatDimension, IntDimension
from cifake_ray.reporting.formatting import percent
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table

if TYPE_CHECKING:  # Optuna takes half a second to import, and `runs` needs none of it
    from optuna.distributions import BaseDistribution

_FEWEST = 12  # trials; the best quarter of fewer is too small to look at
_METHOD = (
    "PED-ANOVA (Watanabe, Bansal and Hutter 2023, arXiv 2304.10255): how much each hyperparameter alone decides "
    "whether a trial is in the best quarter. Stopped trials count with what they had reached."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for each study with enough trials for it."""
    rows = [
        {"Study": study.name, "Importance, %": _shares_text(shares)}
        for study in studies
        if (shares := importances(study))
    ]
    return Section("What mattered in the search", tables=(Table(rows),), method=_METHOD) if rows else None


def _shares_text(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in shares.items())


def importances(study: Study) -> dict[str, float]:
    """Share of each searched name, most important first, summing to 1; {} with fewer than 12 results or one name."""
    metric = study.experiment.search.metric
    trials = study.ranked()
    names = [name for name in study.dimensions if trials[name].notna().all() and trials[name].nunique() > 1]
    if len(trials) < _FEWEST or len(names) < 2:
        return {}
    import optuna
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    replica = optuna.create_study(direction="maximize" if metric.mode == "max" else "minimize")
    space = {name: _distribution(study.experiment.search_space[name]) for name in names}
    replica.add_trials(
        [
            optuna.trial.create_trial(
                params={name: _param(row[name], study.experiment.search_space[name]) for name in names},
                distributions=space,
                value=float(row[metric]),
            )
            for row in trials.to_dict("records")
        ]
    )
    found = get_param_importances(replica, evaluator=PedAnovaImportanceEvaluator(target_quantile=0.25))
    return {name: float(share) for name, share in found.items()}


def _param(value: Any, dimension: Dimension) -> Any:
    """Within its bounds: the table rounds, and a value at a bound may have been rounded over it."""
    if isinstance(dimension, CategoricalDimension):
        return value
    low, high = dimension.bounds
    clipped = min(max(float(value), low), high)
    return round(clipped) if isinstance(dimension, IntDimension) else clipped


def _distribution(dimension: Dimension) -> "BaseDistribution":
    """Without the step, whose multiples a rounded value may miss."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(dimension, CategoricalDimension):
        return CategoricalDistribution([str(choice) for choice in dimension.choices])
    if isinstance(dimension, FloatDimension):
        return FloatDistribution(dimension.low, dimension.high, log=dimension.log)
    return IntDistribution(dimension.low, dimension.high, log=dimension.log)

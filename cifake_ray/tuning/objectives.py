"""The objectives of a study in Optuna's words: directions, names, and the values that `Study.tell` takes."""

import warnings
from collections.abc import Mapping

import optuna
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from cifake_ray.experiment import Search

# Samplers that learn from completed trials alone: a stopped trial, told as pruned, would be ignored.
_LEARN_FROM_COMPLETED = ("gp", "cmaes", "nsga2")


def open_study(storage: BaseStorage, name: str, search: Search) -> optuna.Study:
    """The journal's only study, whatever its name (a run may be renamed); made under `name` if there is none."""
    if studies := storage.get_all_studies():
        return optuna.load_study(storage=storage, study_name=studies[0].study_name)
    directions = [StudyDirection.MAXIMIZE if search.metric.mode == "max" else StudyDirection.MINIMIZE]
    directions += [StudyDirection.MINIMIZE] if search.second_objective else []
    study = optuna.create_study(storage=storage, study_name=name, directions=directions)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([search.metric, *([search.second_objective] if search.second_objective else [])])
    return study


def told_values(search: Search, reached: Mapping[str, float]) -> list[float] | None:
    """A trial's value of each objective, from its last report; None before its first epoch."""
    names = [f"best_{search.metric}", *([search.second_objective] if search.second_objective else [])]
    return [reached[name] for name in names] if all(name in reached for name in names) else None


def stopped_is_complete(search: Search) -> bool:
    """Whether Optuna is told stopped trials as complete, with what they reached.

    Two objectives know no pruning, and some samplers learn nothing from pruned trials; our `status` keeps them
    distinct.
    """
    return search.second_objective is not None or search.sampler in _LEARN_FROM_COMPLETED

"""What Optuna is told of a study and its trials."""

import pytest
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection

from cifake_ray.experiment import Search
from cifake_ray.tuning.objectives import open_study, stopped_is_complete, told_values

TWO = Search(second_objective="parameters")


def test_a_second_objective_is_minimised_beside_the_metric() -> None:
    study = open_study(InMemoryStorage(), "a", TWO)
    assert study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert study.metric_names == ["val_accuracy", "parameters"]


def test_the_journals_study_is_found_after_a_run_was_renamed() -> None:
    storage = InMemoryStorage()
    open_study(storage, "old", Search())
    assert open_study(storage, "new", Search()).study_name == "old"


def test_a_trial_is_told_with_all_its_objectives_or_not_at_all() -> None:
    reached = {"best_val_accuracy": 0.9}
    assert told_values(Search(), reached) == [0.9]
    assert told_values(TWO, reached) is None
    assert told_values(TWO, reached | {"parameters": 12.0}) == [0.9, 12.0]


@pytest.mark.parametrize(("sampler", "complete"), [("tpe", False), ("random", False), ("gp", True), ("cmaes", True)])
def test_samplers_that_forget_pruned_trials_are_told_stopped_ones_as_complete(sampler: str, complete: bool) -> None:
    assert stopped_is_complete(Search(sampler=sampler)) is complete
    assert stopped_is_complete(TWO)

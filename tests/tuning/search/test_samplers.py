"""Every sampler in a study driven by hand: a baseline first, no repeats, the same again, and on after a resume."""

import math
from typing import Any

import pytest
from optuna.study import StudyDirection

from cifake_ray.experiment import Experiment
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.searcher import StudySearch

from ..conftest import OpenRecord, epoch_result, experiment_of

SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "nsga2", "random", "grid")
NUMBERS = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.5},
    "batch_size": {"type": "categorical", "choices": [32, 64]},
}
STEPS = {
    "head_width": {"type": "int", "low": 32, "high": 128, "step": 32},
    "dropout": {"type": "float", "low": 0.0, "high": 0.4, "step": 0.1},
    "batch_size": {"type": "categorical", "choices": [32, 64]},
}


def reached(params: dict[str, Any]) -> float:
    """A scripted accuracy, best near lr 2e-3 and dropout 0.2."""
    return 0.9 - 0.05 * abs(math.log10(params.get("lr", 2e-3)) + 2.7) - 0.1 * abs(params.get("dropout", 0.2) - 0.2)


def study_of(sampler: str, trials: int, name: str = "cnn", **search: Any) -> Experiment:
    experiment = experiment_of(STEPS if sampler == "grid" else NUMBERS, model={"head_width": 64},
                               search={"sampler": sampler, "trials": trials} | search)  # fmt: skip
    return experiment.model_copy(update={"name": name})


def run_to_the_end(record: StudyRecord) -> list[dict[str, Any]]:
    """Each trial for three epochs, one after the other; those below 0.86 are stopped after their first."""
    search, second = StudySearch(record, lambda: 1), record.experiment.search.second_objective
    configs: list[dict[str, Any]] = []
    while isinstance(config := search.suggest(f"ray-{len(configs)}"), dict):
        accuracy = reached(config["params"])
        cost = {second: 1000.0 * config["params"].get("batch_size", 1)} if second else {}
        for epoch in range(1, 2 if accuracy < 0.86 else 4):
            search.on_trial_result(f"ray-{len(configs)}", epoch_result(epoch, accuracy, **cost))
        search.on_trial_complete(f"ray-{len(configs)}", epoch_result(epoch, accuracy, **cost))
        configs.append(config)
    assert config == StudySearch.FINISHED
    return configs


def different(configs: list[dict[str, Any]]) -> int:
    return len({tuple(sorted(config["params"].items())) for config in configs})


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_begins_with_the_baseline_repeats_nothing_and_is_the_same_again(
    open_record: OpenRecord, sampler: str
) -> None:
    records = [open_record(study_of(sampler, 6, name)) for name in ("first", "second")]
    first, second = map(run_to_the_end, records)
    assert first == second
    assert first[0] == {"trial_id": 0, "seed": 0, "folder": "trials/0",
                        "params": records[0].experiment.baseline_params()}  # fmt: skip
    assert different(first) == len(first) == 6


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_resumed_study_finishes_its_interrupted_trial_and_goes_on_with_new_ones(
    open_record: OpenRecord, sampler: str
) -> None:
    first = run_to_the_end(open_record(study_of(sampler, 4)))
    killed = StudySearch(open_record(study_of(sampler, 7)), lambda: 1).suggest("ray-x")
    more = run_to_the_end(open_record(study_of(sampler, 7)))
    assert more[0] == killed
    assert different(first + more) == len(first + more) == 7
    record = open_record(study_of(sampler, 7))
    assert sorted(row.trial_id for row in record.rows.values()) == [config["trial_id"] for config in first + more]
    assert record.finished == 7


def test_a_resumed_qmc_study_takes_the_points_of_one_that_ran_through(open_record: OpenRecord) -> None:
    whole = run_to_the_end(open_record(study_of("qmc", 9, "whole")))
    run_to_the_end(open_record(study_of("qmc", 5)))
    more = run_to_the_end(open_record(study_of("qmc", 9)))
    assert [config["params"] for config in whole[5:]] == [config["params"] for config in more]


def test_cmaes_goes_on_with_its_distribution_after_a_resume(open_record: OpenRecord) -> None:
    run_to_the_end(open_record(study_of("cmaes", 8)))
    record = open_record(study_of("cmaes", 9))
    run_to_the_end(record)
    assert record.study.trials[-1].system_attrs["cma:generation"] == 1  # the second one: of 6 trials each


def test_a_grid_is_tried_whole_once_and_ends_the_study(open_record: OpenRecord) -> None:
    record = open_record(study_of("grid", 100))
    configs = run_to_the_end(record)
    assert different(configs) == len(configs) == 4 * 5 * 2
    assert len(record.study.trials) == 40
    assert run_to_the_end(open_record(study_of("grid", 100))) == []


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_conditional_dimensions_are_proposed_recorded_and_resumed(open_record: OpenRecord, sampler: str) -> None:
    decay = {"type": "float", "low": 0.0, "high": 0.1, "step": 0.05, "when": {"optimizer": "adamw"}}
    space = {"weight_decay": decay, "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]}}
    experiment = experiment_of(space, search={"sampler": sampler, "trials": 3})
    first = run_to_the_end(open_record(experiment))
    more = run_to_the_end(open_record(experiment_of(space, search={"sampler": sampler, "trials": 20})))
    assert different(first + more) == len(first + more) == 4
    record = open_record(experiment)
    assert {tuple(row.params) for row in record.rows.values()} == {("optimizer",), ("optimizer", "weight_decay")}
    record.flush(force=True)
    lines = record.run.trials_file.read_text().splitlines()
    assert lines[0].startswith("trial_id,status,weight_decay,optimizer,")
    assert sum(line.split(",")[2:4] == ["", "adam"] for line in lines) == 1
    assert sum(line.split(",")[3] == "adamw" and line.split(",")[2] != "" for line in lines) == 3


def test_a_killed_trial_without_its_conditional_dimension_goes_on_under_its_number(open_record: OpenRecord) -> None:
    decay = {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}}
    space = {"weight_decay": decay, "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]}}
    search = StudySearch(open_record(experiment_of(space)), lambda: 1)
    search.suggest("a")
    for epoch in (1, 2):
        search.on_trial_result("a", epoch_result(epoch))
    search.on_trial_complete("a", epoch_result(3))
    search.record.study.enqueue_trial({"optimizer": "adam"})
    killed = search.suggest("b")
    assert isinstance(killed, dict)
    assert (killed["trial_id"], killed["params"]) == (1, {"optimizer": "adam"})
    assert StudySearch(open_record(experiment_of(space)), lambda: 1).suggest("c") == killed


def test_a_proposal_cut_short_before_its_conditional_dimension_is_no_trial(open_record: OpenRecord) -> None:
    decay = {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}}
    space = {"weight_decay": decay, "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]}}
    record = open_record(experiment_of(space))
    record.study.enqueue_trial(record.experiment.baseline_params())
    record.study.ask().suggest_categorical("optimizer", ["adam", "adamw"])
    record.study.enqueue_trial({"optimizer": "adamw"})
    record.study.ask().suggest_categorical("optimizer", ["adam", "adamw"])
    again = open_record(experiment_of(space))
    assert list(again.rows) == [0]
    assert again.rows[0].params == record.experiment.baseline_params() == {"optimizer": "adamw", "weight_decay": 0.0}


# --- two objectives ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", ["tpe", "gp", "qmc", "nsga2", "random", "grid"])
def test_a_second_objective_is_minimised_and_the_winner_is_the_most_accurate(
    open_record: OpenRecord, sampler: str
) -> None:
    experiment = study_of(sampler, 6, second_objective="parameters")
    configs = run_to_the_end(open_record(experiment))
    assert len(configs) == 6
    record = open_record(experiment)
    assert record.study.directions == [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]
    assert record.study.metric_names == ["val_accuracy", "parameters"]
    for row in record.rows.values():
        values = record.study.trials[row.trial_id].values
        assert values == [pytest.approx(reached(row.params)), 1000 * row.params["batch_size"]]
    best = record.best()
    assert best is not None
    assert reached(best.params) == max(reached(row.params) for row in record.rows.values())
    record.flush(force=True)
    lines = record.run.trials_file.read_text().splitlines()
    place = lines[0].split(",").index("parameters")
    assert {float(line.split(",")[place]) for line in lines[1:]} <= {32_000.0, 64_000.0}


@pytest.mark.parametrize(("sampler", "state"), [("tpe", "PRUNED"), ("gp", "COMPLETE"), ("cmaes", "COMPLETE"),
                                                ("nsga2", "COMPLETE")])  # fmt: skip
def test_a_stopped_trial_is_told_so_that_its_sampler_learns_from_it(
    open_record: OpenRecord, sampler: str, state: str
) -> None:
    record = open_record(study_of(sampler, 3))
    search = StudySearch(record, lambda: 1)
    search.suggest("a")
    search.on_trial_result("a", epoch_result(1, 0.7))
    search.on_trial_complete("a", epoch_result(1, 0.7))
    trial = record.study.trials[0]
    assert (trial.state.name, trial.value) == (state, 0.7)
    assert open_record(study_of(sampler, 3)).rows[0].status == "stopped"

"""Proposals, driven as Tune drives a searcher: what is handed out, in which order, and when it ends."""

import json
from typing import Any

import pytest

from cifake_ray.experiment import Experiment
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.retraining import planned_retrainings
from cifake_ray.tuning.search.searcher import ChainedSearch, ListSearch, StudySearch

from ..conftest import OpenRecord, epoch_result, experiment_of

FINISHED = StudySearch.FINISHED
GRID = {
    "batch_size": {"type": "categorical", "choices": [32, 64]},
    "head_width": {"type": "int", "low": 32, "high": 96, "step": 32},
}


def take(search: StudySearch, name: str) -> dict[str, Any]:
    """The next config, which there must be."""
    config = search.suggest(name)
    assert isinstance(config, dict), config
    return config


def complete(search: StudySearch, name: str, epochs: int = 3, **last: Any) -> None:
    for epoch in range(1, epochs):
        search.on_trial_result(name, epoch_result(epoch))
    search.on_trial_complete(name, epoch_result(epochs) | last)


def run_all(search: StudySearch) -> list[dict[str, Any]]:
    """One trial after the other to the end of the study."""
    configs: list[dict[str, Any]] = []
    while isinstance(config := search.suggest(f"ray-{len(configs)}"), dict):
        complete(search, f"ray-{len(configs)}")
        configs.append(config)
    assert config == FINISHED
    return configs


def distinct(configs: list[dict[str, Any]]) -> int:
    return len({json.dumps(config["params"], sort_keys=True) for config in configs})


def test_trial_0_is_the_baseline(open_record: OpenRecord) -> None:
    record = open_record()
    first = take(StudySearch(record, lambda: 2), "a")
    assert first["params"] == record.experiment.baseline_params()
    assert first["trial_id"] == 0
    assert first["folder"] == "trials/0"


def test_a_study_hands_out_so_many_different_trials_with_seeds_counted_from_its_own(open_record: OpenRecord) -> None:
    configs = run_all(StudySearch(open_record(experiment_of(training={"seed": 40})), lambda: 2))
    assert [config["trial_id"] for config in configs] == list(range(6))
    assert [config["seed"] for config in configs] == [40, 41, 42, 43, 44, 45]
    assert distinct(configs) == 6


def test_the_same_seed_proposes_the_same_configurations(open_record: OpenRecord) -> None:
    records = [open_record(Experiment.model_validate(experiment_of().model_dump(by_alias=True) | {"name": name}))
               for name in ("first", "second")]  # fmt: skip
    first, second = (run_all(StudySearch(record, lambda: 1)) for record in records)
    assert first == second


def test_slots_are_respected(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(), lambda: 2)
    take(search, "a")
    take(search, "b")
    assert search.suggest("c") is None
    complete(search, "a")
    assert take(search, "c")["trial_id"] == 2
    assert search.suggest("d") is None


def test_no_more_trials_are_started_than_asked_for_while_the_last_ones_run(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(experiment_of(search={"trials": 2})), lambda: 8)
    take(search, "a")
    take(search, "b")
    assert search.suggest("c") == FINISHED
    complete(search, "a")
    assert search.suggest("c") == FINISHED
    assert not search.exhausted


@pytest.mark.parametrize(
    ("epochs", "last", "error", "status"),
    [(3, {}, False, "completed"), (1, {}, False, "stopped"), (2, {"failed": "NaN"}, False, "failed"),
     (2, {}, True, "failed")],
)  # fmt: skip
def test_how_a_trial_ended_is_recorded_and_counts(
    open_record: OpenRecord, epochs: int, last: dict[str, Any], error: bool, status: str
) -> None:
    record = open_record(experiment_of(search={"trials": 1}))
    search = StudySearch(record, lambda: 1)
    take(search, "a")
    record.deaths["0"] = "its process died again and again: killed by signal 9"
    for epoch in range(1, epochs + 1):
        search.on_trial_result("a", epoch_result(epoch))
    search.on_trial_complete("a", None if error else last or epoch_result(epochs), error=error)
    row = open_record(record.experiment).rows[0]
    assert row.status == status
    assert len(row.curve) == epochs
    expected = {"failed": "its process died again and again: killed by signal 9" if error else "NaN"}
    assert row.error == expected.get(status, "")
    assert record.finished == 1
    assert search.suggest("b") == FINISHED


def test_a_trial_that_fails_before_its_first_epoch_is_recorded(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(), lambda: 1)
    take(search, "a")
    search.on_trial_result("a", {"failed": "out of memory"})
    search.on_trial_complete("a", {"failed": "out of memory"})
    assert search.record.rows[0].error == "out of memory"
    assert search.record.rows[0].curve == {}


def test_results_of_unknown_trials_are_ignored(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(), lambda: 1)
    search.on_trial_result("stranger", epoch_result(1))
    search.on_trial_complete("stranger", epoch_result(1))
    assert search.record.rows == {}


def trained_twice(record: StudyRecord) -> list[tuple[int, int]]:
    rows = list(record.rows.values())
    return [(a.trial_id, b.trial_id) for i, a in enumerate(rows) for b in rows[:i] if a.params == b.params]


@pytest.mark.parametrize("sampler", ["tpe", "random"])
@pytest.mark.parametrize("slots", [1, 3])
def test_a_finite_space_is_tried_whole_without_a_duplicate_and_then_ends_the_study(
    open_record: OpenRecord, sampler: str, slots: int
) -> None:
    record = open_record(experiment_of(GRID, search={"trials": 50, "sampler": sampler}))
    search = StudySearch(record, lambda: slots)
    configs: list[dict[str, Any]] = []
    live: list[str] = []
    for step in range(100):
        config = search.suggest(f"ray-{step}")
        if isinstance(config, dict):
            configs.append(config)
            live.append(f"ray-{step}")
        elif live:
            complete(search, live.pop(0))
        else:
            break
    assert config == FINISHED
    assert search.exhausted
    assert len(configs) == distinct(configs) == 6
    assert record.finished == 6
    assert trained_twice(record) == []
    assert [config["seed"] for config in configs] == [config["trial_id"] for config in configs]


def test_duplicates_are_kept_in_the_journal_and_do_not_count(open_record: OpenRecord) -> None:
    record = open_record(experiment_of(GRID, search={"trials": 6, "sampler": "random"}))
    configs = run_all(StudySearch(record, lambda: 1))
    assert record.finished == len(configs) == 6
    discarded = [trial for trial in record.study.trials if "discarded" in trial.user_attrs]
    assert discarded  # random draws of six do repeat
    assert "duplicate of trial" in discarded[0].user_attrs["discarded"]
    assert len(record.study.trials) == 6 + len(discarded)


def test_a_baseline_between_the_decimals_of_a_step_is_not_trained_twice(open_record: OpenRecord) -> None:
    """A grid reaches 0.3 as 0.30000000000000004."""
    space = {"dropout": {"type": "float", "low": 0.0, "high": 0.6, "step": 0.1}}
    record = open_record(experiment_of(space, model={"dropout": 0.3}, search={"trials": 20}))
    configs = run_all(StudySearch(record, lambda: 1))
    assert sorted(round(config["params"]["dropout"], 6) for config in configs) == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]


# --- resuming ----------------------------------------------------------------------------------------------------


def test_a_resumed_study_goes_on_without_a_second_baseline_or_a_proposal_again(open_record: OpenRecord) -> None:
    first = run_all(StudySearch(open_record(experiment_of(search={"trials": 4})), lambda: 1))
    more = run_all(StudySearch(open_record(experiment_of(search={"trials": 9})), lambda: 1))
    assert [config["trial_id"] for config in more] == [4, 5, 6, 7, 8]
    assert distinct(first + more) == 9


def test_interrupted_trials_are_handed_out_first_under_their_own_id(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(), lambda: 3)
    handed = [take(search, name) for name in "abc"]
    complete(search, "b")
    search.on_trial_result("c", epoch_result(1))
    resumed = StudySearch(open_record(), lambda: 3)
    assert [take(resumed, name) for name in "xy"] == [handed[0], handed[2]]
    assert resumed.record.rows[2].status == "running"
    assert list(resumed.record.rows[2].curve) == [1]
    assert take(resumed, "z")["trial_id"] == 3
    for epoch in (1, 2):
        resumed.on_trial_result("y", epoch_result(epoch))
    complete(resumed, "y", 3)
    assert sorted(open_record().rows[2].curve) == [1, 2, 3]
    assert open_record().rows[2].status == "completed"


def test_interrupted_trials_are_finished_also_when_enough_others_are(open_record: OpenRecord) -> None:
    search = StudySearch(open_record(experiment_of(search={"trials": 2})), lambda: 2)
    take(search, "a")
    take(search, "b")
    complete(search, "b")
    resumed = StudySearch(open_record(experiment_of(search={"trials": 1})), lambda: 2)
    assert [config["trial_id"] for config in run_all(resumed)] == [0]


def test_a_study_killed_before_its_first_trial_begins_with_the_baseline(open_record: OpenRecord) -> None:
    StudySearch(open_record(), lambda: 1)
    resumed = StudySearch(open_record(), lambda: 1)
    first = take(resumed, "a")
    complete(resumed, "a")
    second = take(resumed, "b")
    baseline = resumed.experiment.baseline_params()
    assert first["params"] == baseline
    assert second["params"] != baseline


def test_an_exhausted_space_stays_exhausted(open_record: OpenRecord) -> None:
    experiment = experiment_of(GRID, search={"trials": 50})
    run_all(StudySearch(open_record(experiment), lambda: 1))
    again = StudySearch(open_record(experiment), lambda: 1)
    assert run_all(again) == []
    assert again.exhausted


# --- retrainings -------------------------------------------------------------------------------------------------


def test_retrainings_are_handed_out_in_order_while_slots_are_free() -> None:
    configs = [{"folder": f"winners/{name}", "seed": 1} for name in ("tuned", "baseline", "third")]
    search = ListSearch(configs, lambda: 2)
    assert [search.suggest("a"), search.suggest("b")] == configs[:2]
    assert search.suggest("c") is None
    search.on_trial_complete("b", {"failed": "NaN"})
    assert search.suggest("c") == configs[2]
    assert search.suggest("d") == FINISHED
    search.on_trial_complete("c", None, error=True)
    search.on_trial_complete("a", epoch_result(3))
    assert search.live == set()
    assert configs[0] == {"folder": "winners/tuned", "seed": 1}


def test_what_was_left_of_another_winners_retraining_is_no_start_for_this_ones(open_record: OpenRecord) -> None:
    """A study killed while it retrained trial 1, extended, and won by trial 2: checkpoints lie in folders apart."""
    record = open_record()
    plans = []
    for number, accuracy in enumerate((0.7, 0.8, 0.9)):
        trial = record.study.ask()
        record.start(trial.number, {"lr": 1e-3, "batch_size": 32, "head_width": 32 + number})
        record.add_epoch(number, epoch_result(1, accuracy))
        record.finish(number, "completed")
        plans.append(planned_retrainings(record))
    folders = [{(retraining.role, retraining.seed): retraining.folder for retraining in plan} for plan in plans]
    assert [set(found) for found in folders] == [
        {("tuned", 1), ("tuned", 2), ("tuned", 3)},
        *[{(role, seed) for role in ("tuned", "baseline") for seed in (1, 2, 3)}] * 2,
    ]
    assert folders[1]["tuned", 1] != folders[2]["tuned", 1]
    assert folders[1]["baseline", 1] == folders[2]["baseline", 1]
    assert len(set(folders[2].values())) == 6


def test_the_second_search_begins_when_no_trial_of_the_first_is_left(open_record: OpenRecord) -> None:
    first = StudySearch(open_record(experiment_of(search={"trials": 2})), lambda: 2)
    idle: list[int] = []
    search = ChainedSearch(
        first,
        lambda: ListSearch([{"folder": "winners/x"}], lambda: 2),
        lambda: idle.append(len(first.live)),
    )
    assert [search.suggest(name)["folder"] for name in "ab"] == ["trials/0", "trials/1"]
    search.on_trial_complete("b", epoch_result(3))
    assert idle == []
    assert search.suggest("c") is None  # trial 0 may still win
    assert idle == [1]
    search.on_trial_complete("a", epoch_result(3))
    assert search.suggest("c") == {"folder": "winners/x"}
    assert search.suggest("d") == FINISHED
    search.on_trial_complete("c", {"epoch": 3})
    assert search.current.live == set()
    assert first.record.finished == 2

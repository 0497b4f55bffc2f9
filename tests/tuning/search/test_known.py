"""Studies with known trials, driven as Tune drives them on a known curve: what each sampler makes of the knowledge."""

import math
import random
from statistics import median
from typing import Any

import optuna
import pytest

from cifake_ray.experiment import Experiment
from cifake_ray.runs.records import KnownTrial, WarmStart
from cifake_ray.runs.records.store import write_record
from cifake_ray.tuning.journal import read_trials
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.known import SamplerStudy, frozen
from cifake_ray.tuning.search.scheduler import _SearchHalving, build_scheduler
from cifake_ray.tuning.search.searcher import StudySearch
from cifake_ray.tuning.space import build_sampler, suggest_params

from ..conftest import OpenRecord, epoch_result, experiment_of

SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128]},
}
CONDITIONAL = {
    "optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]},
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "when": {"optimizer": "adamw"}},
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "sgd"}},
}
LEARNING = ["tpe", "gp", "cmaes", "nsga2"]


def quality(params: dict[str, Any]) -> float:
    """Best at lr 3e-3, weight decay 0.08, batches of 128: an accuracy of 0.95."""
    away = abs(math.log10(params.get("lr", 1e-3) / 3e-3)) + 6 * abs(params.get("weight_decay", 0.0) - 0.08)
    return 0.95 - 0.2 * away - (0.05 if params.get("batch_size", 128) != 128 else 0)


def drawn(space: dict[str, Any], count: int, seed: int = 0, status: Any = "completed") -> list[KnownTrial]:
    """Trials of random configurations on the known curve."""
    experiment = experiment_of(space)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
    found = []
    for _ in range(count):
        params = suggest_params(study.ask(), experiment.search_space)
        value = quality(params)
        found.append(KnownTrial(params=params, status=status, epochs=3, values=[value], last=value))
    return found


def conduct(search: StudySearch, trials: int = 10_000, epochs: int = 3, slots: int = 1) -> list[dict[str, Any]]:
    """Up to so many trials more, `slots` at once, each reported as the known curve says."""
    configs: list[dict[str, Any]] = []
    live: list[tuple[str, dict[str, Any]]] = []
    while True:
        while len(live) < slots and len(configs) < trials:
            config = search.suggest(name := f"ray-{len(configs)}")
            if not isinstance(config, dict):
                break
            live.append((name, config))
            configs.append(config)
        if not live:
            return configs
        name, config = live.pop(0)
        for epoch in range(1, epochs + 1):
            search.on_trial_result(name, epoch_result(epoch, quality(config["params"])))
        search.on_trial_complete(name, epoch_result(epochs, quality(config["params"])))


def start(record: StudyRecord, known: list[KnownTrial], proposals: Any = (), slots: int = 1) -> StudySearch:
    write_record(record.run.warm_start_file, WarmStart(schema_version=1, known=known, proposals=list(proposals)))
    return StudySearch(record, lambda: slots)


def best_after(configs: list[dict[str, Any]], count: int) -> float:
    return max(quality(config["params"]) for config in configs[1 : 1 + count])


@pytest.mark.parametrize("sampler", LEARNING)
def test_the_sampler_begins_where_the_known_trials_were_best(open_record: OpenRecord, sampler: str) -> None:
    """Median over several studies of the best of five proposals, against the same study without knowledge."""
    cold, warm = [], []
    for seed in range(3 if sampler == "gp" else 9):  # a GP takes a second for each proposal
        for known, found in (([], cold), (drawn(SPACE, 60, seed), warm)):
            about = {"search": {"sampler": sampler, "trials": 6}, "training": {"seed": 100 * seed}}
            experiment = experiment_of(SPACE, **about).model_copy(update={"name": f"{'cw'[bool(known)]}{seed}"})
            configs = conduct(start(open_record(experiment), known))
            assert len(configs) == 6
            found.append(best_after(configs, 5))
    assert median(warm) > median(cold) + 0.02


@pytest.mark.parametrize("sampler", LEARNING)
def test_known_trials_are_in_no_table_and_do_not_count(open_record: OpenRecord, sampler: str) -> None:
    record = open_record(experiment_of(SPACE, search={"sampler": sampler, "trials": 6}))
    configs = conduct(start(record, drawn(SPACE, 40), slots=2), slots=2)
    assert configs[0]["params"] == record.experiment.baseline_params()
    proposed = [trial.number for trial in read_trials(record.run) if "discarded" not in trial.user_attrs]
    assert proposed == [config["trial_id"] for config in configs] == [config["seed"] for config in configs]
    assert len(configs) == record.finished == 6
    record.flush(force=True)
    assert len(record.run.trials_file.read_text().splitlines()) == 7
    best = record.best()
    assert best is not None
    assert best.value(record.experiment.search.metric) == pytest.approx(max(quality(c["params"]) for c in configs))


def test_a_scheduler_sees_no_known_trial(open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    record = open_record(experiment_of(SPACE, search={"trials": 4}))
    seen: list[int] = []
    monkeypatch.setattr(_SearchHalving, "recall", lambda _self, trial, _results: seen.append(trial.number))
    conduct(start(record, drawn(SPACE, 40)))
    build_scheduler(record.experiment, record)
    assert seen == [0, 1, 2, 3]


@pytest.mark.parametrize("sampler", LEARNING)
def test_a_resume_at_any_trial_needs_no_other_run_and_goes_on_with_the_knowledge(
    open_record: OpenRecord, sampler: str
) -> None:
    experiment = experiment_of(SPACE, search={"sampler": sampler, "trials": 12})
    conduct(start(open_record(experiment), drawn(SPACE, 60)), trials=5)
    resumed = StudySearch(open_record(experiment), lambda: 1)
    assert resumed._knowing is not None
    assert resumed._knowing.known == 60
    more = conduct(resumed)
    assert len(more) == 7
    assert more[0]["trial_id"] >= 5
    assert max(quality(config["params"]) for config in more) > 0.88


def test_the_same_seed_and_knowledge_propose_the_same_configurations(open_record: OpenRecord) -> None:
    runs = []
    for name in ("first", "second"):
        experiment = experiment_of(SPACE, search={"trials": 8}).model_copy(update={"name": name})
        runs.append(conduct(start(open_record(experiment), drawn(SPACE, 30))))
    assert runs[0] == runs[1]


def test_cmaes_keeps_its_state_in_the_journal_over_a_resume(open_record: OpenRecord) -> None:
    """A generation is as many trials as Optuna's population; its optimiser is stored with a trial of the journal."""
    experiment = experiment_of(SPACE, search={"sampler": "cmaes", "trials": 20})
    conduct(start(open_record(experiment), drawn(SPACE, 60)), trials=14)
    stored = [trial.number for trial in read_trials(open_record(experiment).run)
              if any(key.startswith("cma:optimizer") for key in trial.system_attrs)]  # fmt: skip
    assert stored
    resumed = StudySearch(open_record(experiment), lambda: 1)
    conduct(resumed, trials=1)
    assert resumed._knowing is not None
    generations = [trial.system_attrs.get("cma:generation", -1) for trial in resumed._knowing.study.trials]
    assert max(generations[60:]) >= 1


def test_trials_that_run_are_known_to_the_sampler_too(open_record: OpenRecord) -> None:
    record = open_record(experiment_of(SPACE, search={"trials": 8}))
    search = start(record, drawn(SPACE, 30), slots=3)
    conduct(search, trials=3, slots=3)
    handed = [search.suggest(name) for name in "abc"]
    assert all(isinstance(config, dict) for config in handed)
    assert search._knowing is not None
    search._knowing._mirror()
    states = [trial.state.name for trial in search._knowing.study.trials[30:]]
    assert states == ["COMPLETE"] * 3 + ["RUNNING"] * 3
    numbers = [trial.params for trial in search._knowing.study.trials[30:]]
    assert numbers == [trial.params for trial in record.study.trials]


def test_a_failed_and_a_stopped_trial_end_in_the_samplers_study_as_in_the_journal(open_record: OpenRecord) -> None:
    record = open_record(experiment_of(SPACE, search={"trials": 8}))
    search = start(record, drawn(SPACE, 30))
    for last in ({"failed": "NaN"}, epoch_result(1, 0.7)):
        config = search.suggest("a")
        assert isinstance(config, dict)
        search.on_trial_complete("a", last)
    assert search._knowing is not None
    search._knowing._mirror()
    failed, stopped = search._knowing.study.trials[30:]
    assert failed.state.name == "FAIL"
    assert stopped.state.name == "PRUNED"
    assert stopped.intermediate_values == {1: 0.7}


def test_a_conditional_space_is_known_with_its_active_dimensions(open_record: OpenRecord) -> None:
    record = open_record(experiment_of(CONDITIONAL, search={"trials": 12}))
    known = drawn(CONDITIONAL, 40)
    assert {frozenset(trial.params) for trial in known} == {
        frozenset({"optimizer", "lr"}), frozenset({"optimizer", "weight_decay"})
    }  # fmt: skip
    configs = conduct(start(record, known))
    assert len(configs) == 12
    for config in configs:
        assert set(config["params"]) == {
            "optimizer",
            "lr" if config["params"]["optimizer"] == "adamw" else "weight_decay",
        }
    assert best_after(configs, 11) > 0.7


@pytest.mark.parametrize("sampler", ["tpe", "gp", "nsga2"])
def test_two_objectives_are_known(open_record: OpenRecord, sampler: str) -> None:
    search = {"sampler": sampler, "second_objective": "parameters", "trials": 6}
    record = open_record(experiment_of(SPACE, search=search))
    draw = random.Random(0)
    known = [trial.model_copy(update={"values": [*trial.values, float(draw.randint(1, 9))]})
             for trial in drawn(SPACE, 20, status="stopped")]  # fmt: skip
    found = start(record, known)
    for number in range(6):
        config = found.suggest(str(number))
        assert isinstance(config, dict)
        result = epoch_result(3, quality(config["params"]), parameters=5.0)
        found.on_trial_complete(str(number), result | {"epoch": 1})
    assert found._knowing is not None
    found._knowing._mirror()
    states = [trial.state.name for trial in found._knowing.study.trials]
    assert states[:20] == ["COMPLETE"] * 20
    assert states[20:].count("COMPLETE") == 6
    assert set(states) <= {"COMPLETE", "FAIL"}  # a proposal that repeats a trial is discarded


def test_stopped_trials_are_pruned_for_tpe_and_complete_for_samplers_that_need_it() -> None:
    trial = KnownTrial(params={"lr": 1e-3}, status="stopped", epochs=2, values=[0.8], last=0.7)
    pruned = frozen(trial, experiment_of(SPACE))
    assert pruned.state.name == "PRUNED"
    assert pruned.intermediate_values == {2: 0.7}
    complete = frozen(trial, experiment_of(SPACE, search={"sampler": "gp"}))
    assert complete.state.name == "COMPLETE"
    assert complete.values == [0.8]


def test_a_finite_space_with_known_trials_is_still_tried_whole(open_record: OpenRecord) -> None:
    space = {"batch_size": SPACE["batch_size"], "head_width": {"type": "int", "low": 32, "high": 64, "step": 32}}
    record = open_record(experiment_of(space, search={"trials": 50}))
    search = start(record, drawn(space, 20))
    configs = conduct(search)
    assert len(configs) == 6
    assert search.exhausted
    assert record.finished == 6


def test_the_first_proposals_follow_the_baseline_and_survive_a_kill(open_record: OpenRecord) -> None:
    experiment = experiment_of(SPACE, search={"trials": 6})
    record = open_record(experiment)
    proposals = [{"lr": lr, "weight_decay": 0.05, "batch_size": 64} for lr in (2e-3, 3e-3, 4e-3)]
    write_record(record.run.warm_start_file, WarmStart(schema_version=1, known=[], proposals=proposals))
    record.study.enqueue_trial(experiment.baseline_params())  # killed before the others were enqueued
    search = StudySearch(open_record(experiment), lambda: 1)
    assert search._knowing is None
    configs = conduct(search, trials=2)
    again = StudySearch(open_record(experiment), lambda: 1)
    configs += conduct(again)
    assert [config["params"] for config in configs[:4]] == [experiment.baseline_params(), *proposals]
    assert [config["trial_id"] for config in configs] == list(range(6))


@pytest.mark.parametrize("sampler", ["grid", "random", "qmc"])
def test_first_proposals_go_before_a_grid_and_random_draws(open_record: OpenRecord, sampler: str) -> None:
    space = {"batch_size": SPACE["batch_size"], "head_width": {"type": "int", "low": 32, "high": 96, "step": 32}}
    record = open_record(experiment_of(space, search={"trials": 9, "sampler": sampler}))
    proposals = [{"batch_size": 128, "head_width": 96}, {"batch_size": 64, "head_width": 96}]
    configs = conduct(start(record, [], proposals))
    assert [config["params"] for config in configs[1:3]] == proposals
    assert len(configs) == 9


def test_cmaes_models_numbers_of_more_than_one_value(open_record: OpenRecord) -> None:
    space = SPACE | {"dropout": {"type": "float", "low": 0.0, "high": 0.0}}
    experiment: Experiment = experiment_of(space, search={"sampler": "cmaes"})
    known = [frozen(trial, experiment) for trial in drawn(space, 20)]
    sampler: Any = build_sampler(experiment, 0, known)
    assert {frozenset(trial.params) for trial in sampler._source_trials} == {frozenset({"lr", "weight_decay"})}
    journal = open_record(experiment).study
    assert SamplerStudy(experiment, journal, drawn(space, 20)).known == 20

"""What a study takes of earlier ones: what counts as the same training, and what happens to everything else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.experiment import Experiment, load_experiment
from cifake_ray.runs.records import KnownTrial
from cifake_ray.tuning.record import TrialRow
from cifake_ray.tuning.warm_start.parents import Parent
from cifake_ray.tuning.warm_start.transfer import Transfer, ranked, transfer

from tests.own_net import NET, write_experiment

from ..conftest import epoch_result, experiment_of

IMAGES = frozenset({"1" * 64})
BASE = {"lr": 1e-3, "batch_size": 32, "head_width": 64}


def row(number: int, accuracy: float = 0.8, epochs: int = 3, status: Any = "completed", **params: Any) -> TrialRow:
    found = TrialRow(number, BASE | params, status)
    for epoch in range(1, epochs + 1):
        result = epoch_result(epoch, accuracy - (epochs - epoch) / 100)
        found.curve[epoch] = {name: result[name] for name in ("val_accuracy", "val_loss")}
        found.best = {key: value for key, value in result.items() if key.startswith("best_")}
    return found


def parent_of(*rows: TrialRow, experiment: Experiment | None = None, name: str = "old") -> Parent:
    return Parent(name, experiment or experiment_of(), IMAGES, rows)


def taken(parent: Parent, experiment: Experiment, images: frozenset[str] | None = IMAGES) -> Transfer:
    return transfer([parent], experiment, images)


def test_a_trial_that_would_be_the_same_training_is_known() -> None:
    found = taken(parent_of(row(0, 0.8), row(1, 0.9, 2, "stopped", lr=2e-3)), experiment_of(training={"seed": 7}))
    assert found.start.known == [
        KnownTrial(params=BASE, status="completed", epochs=3, values=[0.8], last=0.8),
        KnownTrial(params=BASE | {"lr": 2e-3}, status="stopped", epochs=2, values=[0.9], last=0.9),
    ]
    assert found.start.proposals == []
    assert found.lines == ("warm start from old: tpe knows 2 of its 2 trials",)
    assert found.notes[0].as_json() == {
        "run": "old", "trials": 2, "known": 2, "dropped": 0, "thinned": 0, "outside": {}
    }  # fmt: skip


def test_values_are_expressed_in_this_studys_distributions() -> None:
    space = {
        "lr": {"type": "float", "low": 1e-4, "high": 1e-1},  # wider, no log scale
        "batch_size": {"type": "int", "low": 16, "high": 128, "step": 16},  # was categorical
        "head_width": {"type": "categorical", "choices": [48, 64]},  # was a range
    }
    found = taken(parent_of(row(0), row(1, batch_size=64, head_width=48)), experiment_of(space))
    assert [trial.params for trial in found.start.known] == [
        {"lr": 1e-3, "batch_size": 32, "head_width": 64}, {"lr": 1e-3, "batch_size": 64, "head_width": 48}
    ]  # fmt: skip
    assert [type(trial.params["batch_size"]) for trial in found.start.known] == [int, int]


def test_choices_that_mean_the_same_are_the_same() -> None:
    here, there = ({"augment": {"type": "categorical", "choices": choices}} for choices in
                   ([["flip", "crop"], []], ["", "crop+flip", "blur"]))  # fmt: skip
    theirs = experiment_of(there)
    rows = [TrialRow(n, {"augment": a}, "completed", best=row(0).best, curve=row(0).curve)
            for n, a in enumerate(("crop+flip", "", "blur"))]  # fmt: skip
    found = taken(Parent("old", theirs, IMAGES, tuple(rows)), experiment_of(here))
    assert [trial.params for trial in found.start.known] == [{"augment": "flip+crop"}, {"augment": ""}]
    assert found.notes[0].outside == {"augment": 1}


def test_values_outside_are_dropped_and_counted() -> None:
    space = {
        "lr": {"type": "float", "low": 1e-4, "high": 2e-3, "log": True},
        "batch_size": {"type": "categorical", "choices": [32, 128]},
        "head_width": {"type": "int", "low": 32, "high": 128, "step": 32},
    }
    rows = [row(0), row(1, lr=5e-3), row(2, batch_size=64), row(3, head_width=65), row(4, lr=9e-3, head_width=33)]
    found = taken(parent_of(*rows), experiment_of(space))
    assert len(found.start.known) == 1
    assert found.notes[0].dropped == 4
    assert found.notes[0].outside == {"lr": 2, "batch_size": 1, "head_width": 2}
    assert found.lines[0].endswith("1 of its 5 trials; 4 dropped for values outside (lr 2, batch_size 1, head_width 2)")


def test_a_setting_that_is_not_searched_here_must_be_this_studys_own() -> None:
    space = {name: {"type": "float", "low": 1e-4, "high": 1e-2, "log": True} for name in ("lr",)}
    narrow = experiment_of(space, training={"batch_size": 64}, model={"head_width": 64})
    rows = [row(0), row(1, batch_size=64), row(2, batch_size=64, head_width=65)]
    found = taken(parent_of(*rows), narrow)
    assert [trial.params for trial in found.start.known] == [{"lr": 1e-3}]
    assert found.notes[0].outside == {"batch_size": 1, "head_width": 1}


def test_a_new_dimension_takes_the_value_that_the_other_study_had() -> None:
    wider = {**experiment_of().model_dump(mode="json")["search_space"],
             "dropout": {"type": "float", "low": 0.0, "high": 0.5}}  # fmt: skip
    found = taken(parent_of(row(0)), experiment_of(wider))
    assert found.start.known[0].params == BASE | {"dropout": 0.0}
    bounded = wider | {"dropout": {"type": "float", "low": 0.1, "high": 0.5}}
    without = taken(parent_of(row(0, lr=2e-3)), experiment_of(bounded, model={"dropout": 0.2}))
    assert without.start.known == []
    assert without.start.proposals == [BASE | {"lr": 2e-3, "dropout": 0.2}]
    assert "0 of its 1 trial lie in this study's space (dropout 1)" in without.lines[0]


@pytest.mark.parametrize(
    ("sections", "images", "reason"),
    [
        ({}, frozenset({"3" * 64}), "other images"),
        ({"data": {"split_seed": 1}}, IMAGES, "another split (data.split_seed)"),
        ({"data": {"val_fraction": 0.3, "leave_out": ["bird"]}}, IMAGES, "another split (data.val_fraction, data.lea"),
        ({"training": {"epochs": 4}}, IMAGES, "3 epochs instead of 4"),
        ({"search": {"metric": "val_loss"}}, IMAGES, "another metric (val_accuracy)"),
        ({"search": {"sampler": "random"}}, IMAGES, "random learns nothing from known trials"),
        ({"search": {"sampler": "grid"}}, IMAGES, "grid learns nothing from known trials"),
        ({"search": {"sampler": "cmaes"}}, IMAGES, "7 of its 7 trials lie in this study's space, and cmaes needs 10"),
        ({"search": {"second_objective": "parameters"}}, IMAGES, "its trials have no figure of parameters"),
    ],
)
def test_otherwise_the_five_best_become_the_first_proposals_and_the_reason_is_said(
    sections: dict[str, Any], images: frozenset[str], reason: str
) -> None:
    space = {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True, "step": None},
             "head_width": {"type": "int", "low": 32, "high": 128}}  # fmt: skip
    if sections.get("search", {}).get("sampler") == "grid":
        space["lr"] = {"type": "categorical", "choices": [1e-3 * n for n in range(1, 9)]}
    rows = [row(n, 0.8 + n / 100, lr=1e-3 * (n + 1)) for n in range(7)]
    found = taken(parent_of(*rows), experiment_of(space, **sections), images)
    assert found.start.known == []
    assert [params["lr"] for params in found.start.proposals] == [7e-3, 6e-3, 5e-3, 4e-3, 3e-3]
    assert found.notes[0].proposed == 5
    assert reason in found.notes[0].reason
    assert "its 5 best configurations are the first proposals after the baseline" in found.lines[0]
    assert reason in found.lines[0]


def test_images_elsewhere_are_the_same_by_either_fingerprint() -> None:
    both = Parent("old", experiment_of(), frozenset({"1" * 64, "2" * 64}), (row(0),))
    moved = experiment_of(data={"source": "/elsewhere", "labels": {"fake": ["ai"]}})
    assert transfer([both], moved, frozenset({"2" * 64, "9" * 64})).notes[0].known == 1


def test_without_the_images_the_line_says_what_was_not_checked() -> None:
    found = taken(parent_of(row(0)), experiment_of(), None)
    assert found.lines[0].endswith("; not checked: whether the images are those of that study")


def test_another_kind_of_model_gives_proposals_in_the_common_keys() -> None:
    theirs = Experiment.model_validate(
        {"name": "deep", "model": {"kind": "cnn-deep"}, "training": {"epochs": 3},
         "search_space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-1, "log": True}}}
    )  # fmt: skip
    rows = [TrialRow(n, {"lr": lr}, "completed", best=row(n, 0.7 + n / 100).best, curve=row(n).curve)
            for n, lr in enumerate((1e-3, 5e-3, 5e-2))]  # fmt: skip
    space = {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
             "widen": {"type": "int", "low": 1, "high": 4}}  # fmt: skip
    found = taken(Parent("deep", theirs, IMAGES, tuple(rows)), experiment_of(space, model={"widen": 2}))
    assert found.notes[0].reason == "another kind of model (cnn-deep)"
    assert found.start.proposals == [{"lr": 5e-3, "widen": 2}]  # 5e-2 is outside, and with 1e-3 it is the baseline


def test_a_conditional_space_keeps_the_active_dimensions_of_each_trial() -> None:
    space = {
        "optimizer": {"type": "categorical", "choices": ["adamw", "sgd"]},
        "weight_decay": {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}},
    }
    theirs = experiment_of(space)
    rows = [TrialRow(n, params, "completed", best=row(0).best, curve=row(0).curve) for n, params in
            enumerate(({"optimizer": "adamw", "weight_decay": 0.05}, {"optimizer": "sgd"}))]  # fmt: skip
    found = taken(Parent("old", theirs, IMAGES, tuple(rows)), theirs)
    assert [trial.params for trial in found.start.known] == [rows[0].params, rows[1].params]


def test_a_pareto_study_takes_the_front_first() -> None:
    theirs = experiment_of(search={"second_objective": "parameters"})
    rows = []
    for number, (accuracy, parameters) in enumerate(((0.9, 50.0), (0.85, 60.0), (0.8, 20.0), (0.7, 30.0))):
        rows.append(row(number, accuracy, lr=1e-3 * (number + 2)))
        rows[-1].best["parameters"] = parameters
    parent = parent_of(*rows, experiment=theirs)
    assert [found.trial_id for found in ranked(parent)] == [0, 2, 1, 3]
    assert [trial.values for trial in taken(parent, theirs).start.known] == [
        [0.9, 50.0], [0.85, 60.0], [0.8, 20.0], [0.7, 30.0]
    ]  # fmt: skip


def test_proposals_of_several_studies_are_not_repeated_nor_the_baseline() -> None:
    own = experiment_of(training={"epochs": 4})
    first = parent_of(row(0, 0.9, lr=2e-3), row(1, 0.8))  # trial 1 is the baseline
    second = parent_of(row(0, 0.9, lr=2e-3), row(1, 0.7, lr=3e-3), name="older")
    found = transfer([first, second], own, IMAGES)
    assert [params["lr"] for params in found.start.proposals] == [2e-3, 3e-3]
    assert [note.proposed for note in found.notes] == [1, 1]
    assert "its best configuration is the first proposal" in found.lines[0]
    nothing = transfer([parent_of(row(1, 0.8))], own, IMAGES)
    assert nothing.start.proposals == []
    assert "nothing, as its best configurations are proposed already (3 epochs instead of 4)" in nothing.lines[0]


def test_a_gp_knows_at_most_500_trials_evenly_over_their_ranks() -> None:
    space = {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}}
    rows = [TrialRow(n, {"lr": 1e-3 + n * 1e-6}, "completed", best=row(n, n / 2000).best, curve=row(n, n / 2000).curve)
            for n in range(1000)]  # fmt: skip
    own = experiment_of(space)
    few = taken(Parent("old", own, IMAGES, tuple(rows)), experiment_of(space, search={"sampler": "gp"}))
    assert [trial.values[0] for trial in few.start.known] == pytest.approx([n / 2000 for n in range(999, 0, -2)])
    assert "gp knows 500 of its 1,000 trials; 500 left out evenly over the ranks" in few.lines[0]
    assert len(taken(Parent("old", own, IMAGES, tuple(rows)), own).start.known) == 1000


def test_keys_by_their_path_are_carried_over_and_another_file_is_another_network(tmp_path: Path) -> None:
    ours = load_experiment(write_experiment(tmp_path))
    rows = [row(at, lr=0.01, **{"args.width": width}) for at, width in enumerate((2, 8))]
    rows = [replace(one, params={name: one.params[name] for name in ("lr", "args.width")}) for one in rows]
    known = taken(parent_of(*rows, experiment=ours), ours.model_copy(update={"name": "again"}))
    assert [trial.params["args.width"] for trial in known.start.known] == [2, 8]
    (tmp_path / "my_net.py").write_text(NET + "# changed\n")
    changed = taken(parent_of(*rows, experiment=ours), load_experiment(tmp_path / "mine.yaml"))
    assert not changed.start.known
    assert [params["args.width"] for params in changed.start.proposals] == [2, 8]

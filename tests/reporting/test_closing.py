"""The four lines at the end of a study."""

import re
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.reporting.closing import closing_lines
from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections.accuracy import build
from cifake_ray.runs.records import Interval

from .conftest import MakeRun, store_predictions, write_predictions
from .test_by_group import with_generators


def test_result_settings_path_and_next_commands_are_four_lines(
    make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("mine")
    write_predictions(run, better=0.5)
    monkeypatch.chdir(tmp_path)
    result, winner, where, following = closing_lines(load(run))
    assert result.startswith(
        "mine: 95.15 % [92.55, 96.88] on 392 test images, mean of 3 retrainings · "
        "tuning changed the accuracy by +5.10 [+2.92, +7.28] "
    )
    assert result.endswith("points · 14 min without start and decoding")
    assert winner.startswith("  winner: trial ")
    assert "lr " in winner
    assert where == f"  run: {run.absolute()}"
    assert following == (
        "  next: cifake-ray report runs/mine · cifake-ray predict runs/mine IMAGE... · "
        "cifake-ray evaluate runs/mine --robustness"
    )


def test_what_was_left_out_of_training_has_a_line_of_its_own(make_run: MakeRun) -> None:
    run = with_generators(make_run("mine"), {"adam": 8, "carl": 3}, leave_out={"generator": ["adam", "carl"]})
    lines = closing_lines(load(run))
    assert lines[1] == (
        "  left out of training, judged rightly: generator adam 90.00 % [81.49, 94.85] of 80 images, "
        "generator carl [54.81, 92.95] of 15 images"
    )
    assert len(lines) == 5


def test_a_gain_has_its_sign_and_one_that_may_be_chance_is_called_so(make_run: MakeRun) -> None:
    better, worse = make_run("better"), make_run("worse")
    write_predictions(better, better=0.5)
    write_predictions(worse, better=-0.0)
    assert "tuning changed the accuracy by +" in closing_lines(load(better))[0]
    assert "which may be chance" in closing_lines(load(worse))[0]


def test_a_result_that_a_constant_answer_may_reach_is_called_so(make_run: MakeRun) -> None:
    run = make_run("mine")
    write_predictions(run, better=0.5)
    assert "constant answer" not in closing_lines(load(run))[0]
    study = load(run)
    study.mean("tuned").test_dedup.accuracy = Interval(value=0.52, low=0.47, high=0.57)
    assert "NOT surely better than one constant answer (5" in closing_lines(study)[0]


def swap_roles(run: Path) -> None:
    import numpy as np

    with np.load(run / "test_predictions.npz") as arrays:
        swap = {"tuned": "baseline", "baseline": "tuned"}
        found: dict[str, Any] = {}
        for name in arrays.files:
            role, _, seed = name.rpartition("_")
            found[f"{swap[role]}_{seed}" if role in swap else name] = arrays[name]
    store_predictions(run, found)


def test_tuning_that_lost_is_said_with_the_interval_of_the_change(make_run: MakeRun) -> None:
    run = make_run("lost")
    write_predictions(run, better=0.5)
    gained = closing_lines(load(run))[0]
    swap_roles(run)
    lost = closing_lines(load(run))[0]
    change = [re.findall(r"[-+][0-9.]+", line.split(" · ")[1]) for line in (gained, lost)]
    assert change[0][0].startswith("+")
    turned = [text.translate(str.maketrans("+-", "-+")) for text in change[0]]
    assert change[1] == [turned[0], turned[2], turned[1]]


def test_a_study_whose_baseline_won_says_so(make_run: MakeRun) -> None:
    def baseline_wins(trials: list[dict[str, Any]]) -> None:
        trials[0]["val_accuracy"] = 0.999

    run = make_run("base", change=baseline_wins)
    assert "no trial was better than the baseline" in closing_lines(load(run))[0]


def test_one_trial_searched_nothing(make_run: MakeRun) -> None:
    experiment = (make_run("one")) / "experiment.yaml"
    experiment.write_text(experiment.read_text().replace("trials: 12", "trials: 1"))
    assert "nothing was searched" in closing_lines(load(experiment.parent))[0]


def test_the_generated_sample_is_named_in_the_result(make_run: MakeRun) -> None:
    assert (
        "(synthetic sample; results say nothing about CIFAKE)"
        in closing_lines(load(make_run("toy", generated=True)))[0]
    )


def test_a_study_that_is_not_tested_says_so(make_run: MakeRun) -> None:
    run = make_run("half", parts="environment trials curves timeline")
    assert closing_lines(load(run))[0].startswith("half: not tested")


def test_a_validation_auc_below_one_half_is_said_in_the_result_and_in_the_report(make_run: MakeRun) -> None:
    study = load(make_run("turned"))
    winner = study.outcome("tuned")
    assert winner is not None
    assert "BELOW 0.5" not in closing_lines(study)[0]
    for seed, auc in zip(winner.seeds, (0.45, 0.47, 0.46), strict=True):
        seed.val_auc = auc
    assert "validation AUC 0.4600, BELOW 0.5: worse than chance" in closing_lines(study)[0]
    caveats = build([study]).caveats
    assert caveats == ["turned: the validation AUC is 0.4600, below 0.5, worse than chance."]
    for seed in winner.seeds:
        seed.val_auc = 0.9
    assert not build([study]).caveats

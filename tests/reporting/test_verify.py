"""What contradicts itself in a run is refused in one line that names both values; what is no table likewise."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from cifake_ray.errors import InputError
from cifake_ray.reporting.load import load, readable_runs

from .conftest import MakeRun

Change = Callable[[dict[str, Any]], None]


def seed_accuracy(test: dict[str, Any]) -> None:
    test["winners"][0]["seeds"][0]["test_dedup"]["accuracy"]["value"] = 0.9999


def mean_accuracy(test: dict[str, Any]) -> None:
    test["winners"][0]["mean"]["test_dedup"]["accuracy"]["value"] = 0.9999


def text_for_a_number(test: dict[str, Any]) -> None:
    test["winners"][1]["mean"]["test"]["accuracy"]["value"] = "0.9999"


def narrow_interval(test: dict[str, Any]) -> None:
    test["winners"][0]["mean"]["test_dedup"]["accuracy"]["low"] = 0.95


def other_auc(test: dict[str, Any]) -> None:
    test["winners"][0]["mean"]["test_dedup"]["auc"]["value"] = 0.75


def more_images(test: dict[str, Any]) -> None:
    test["test_images"] = 20_000


def unknown_seed(test: dict[str, Any]) -> None:
    test["winners"][0]["seeds"][0]["seed"] = 77


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (seed_accuracy, "tuned, seed 1, test_dedup.accuracy is noted as 0.9999"),
        (mean_accuracy, "tuned, mean over seeds, test_dedup.accuracy is noted as 0.9999"),
        (text_for_a_number, "damaged (winners.1.mean.test.accuracy.value: "),
        (narrow_interval, "accuracy.low is noted as 0.95"),
        (other_auc, "auc is noted as 0.75"),
        (more_images, "test_images is noted as 20000"),
        (unknown_seed, "seed 77: no predictions"),
    ],
)
def test_score_that_the_predictions_contradict_is_refused(make_run: MakeRun, change: Change, said: str) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    change(test)
    (run / "test.json").write_text(json.dumps(test))
    with pytest.raises(InputError) as refused:
        load(run)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_rounded_floats_are_no_contradiction(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text(), parse_float=lambda text: round(float(text), 7))
    (run / "test.json").write_text(json.dumps(test))
    assert load(run).mean("tuned").test_dedup.accuracy.value == pytest.approx(373 / 392, abs=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.5])
def test_predictions_that_are_no_probabilities_are_refused(make_run: MakeRun, value: float) -> None:
    run = make_run()
    with np.load(run / "test_predictions.npz") as stored:
        arrays = dict(stored)
    arrays["tuned_2"][5] = value
    np.savez_compressed(run / "test_predictions.npz", **arrays)
    with pytest.raises(InputError, match="tuned_2 holds values that are no probability"):
        load(run)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("completed", "finito", "line 2: status: expected one of"),
        ("0.93,", "good,", "no number \\(found 'good'\\)"),
        ("\n1,", "\n0,", "line 3: trial_id: listed twice"),
        ("val_accuracy", "other", "no column val_accuracy"),
    ],
)
def test_trial_table_that_is_none_is_refused(make_run: MakeRun, old: str, new: str, said: str) -> None:
    run = make_run()
    text = (run / "trials.csv").read_text()
    assert old in text
    (run / "trials.csv").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=said):
        load(run)


def test_doubled_epoch_and_text_in_a_curve_are_refused(make_run: MakeRun) -> None:
    run = make_run()
    lines = (run / "curves.csv").read_text().splitlines()
    (run / "curves.csv").write_text("\n".join([*lines, lines[-1]]))
    with pytest.raises(InputError, match="epoch: listed twice"):
        load(run)
    (run / "curves.csv").write_text("\n".join([*lines, lines[-1].replace(lines[-1].split(",")[2], "x")]))
    with pytest.raises(InputError, match="train_loss: no number"):
        load(run)


def test_one_contradicting_run_takes_no_other_run_out_of_the_report(make_run: MakeRun) -> None:
    good, bad = make_run("good"), make_run("bad")
    test = json.loads((bad / "test.json").read_text())
    mean_accuracy(test)
    (bad / "test.json").write_text(json.dumps(test))
    found, faults = readable_runs([bad, good])
    assert found == [good]
    assert [("bad/test.json" in fault, "0.9999" in fault) for fault in faults] == [(True, True)]

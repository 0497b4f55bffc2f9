"""How sure differences are: against published examples and what can be counted by hand."""

import json
from typing import Any

import pytest

from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections.certainty import certainty
from cifake_ray.reporting.sections.differences import mcnemar_pairs
from cifake_ray.reporting.sections.head import headlines
from cifake_ray.reporting.winners import gain, median_seed

from ..conftest import MakeRun, write_predictions


def test_gain_is_counted_on_fresh_images_over_the_seeds_of_both(make_run: MakeRun) -> None:
    predictions = load(make_run()).predictions
    assert predictions is not None
    found = gain(predictions)
    assert found is not None
    assert found.value == pytest.approx(20 / 392)  # 20 of the baseline's 40 errors are mended; 8 copies are left out
    assert found.low < found.value < found.high


def test_selection_noise_is_search_minus_retraining(make_run: MakeRun) -> None:
    study = load(make_run())
    found = certainty(study)
    assert found.noise == pytest.approx(study.trials["val_accuracy"].max() - 0.95)
    assert found.seeds == pytest.approx([1 - 19 / 392] * 3)  # 19 of the 392 fresh images are judged wrongly
    assert found.deviation == pytest.approx(0.0)


def test_the_gain_is_judged_on_the_same_images_not_by_two_intervals_side_by_side(make_run: MakeRun) -> None:
    study = load(make_run())
    sentence = next(line for line in headlines([study]) if "tuning changed" in line)
    found = certainty(study).gain
    assert found is not None
    assert found.low > 0
    assert f"95 % interval {100 * found.low:+.2f} to {100 * found.high:+.2f}." in sentence


def test_baseline_that_won_has_no_gain(make_run: MakeRun) -> None:
    assert certainty(load(make_run(change=baseline_is_best))).gain is None


def baseline_is_best(rows: list[dict[str, Any]]) -> None:
    rows[0]["val_accuracy"] = 0.99


def test_no_gain_is_told_between_models_of_unequal_training(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    test["winners"][1]["epochs"] = 3
    (run / "test.json").write_text(json.dumps(test))
    study = load(run)
    assert certainty(study).gain is None
    assert not any("tuning changed" in line for line in headlines([study]))


def test_studies_are_compared_only_on_the_same_images(make_run: MakeRun) -> None:
    first, second, other = make_run("a"), make_run("b"), make_run("c")
    write_predictions(second, better=0.0)
    environment: dict[str, Any] = json.loads((other / "environment.json").read_text())
    environment["data"]["fingerprint"] = "0" * 64
    (other / "environment.json").write_text(json.dumps(environment))
    pairs = mcnemar_pairs([load(run) for run in (first, second, other)])
    assert [(pair.first, pair.second) for pair in pairs] == [("a", "b")]
    assert (pairs[0].only_first, pairs[0].only_second) == (20, 0)
    assert pairs[0].p == pytest.approx(2 * 0.5**20 - 0.5**20)
    assert pairs[0].difference.value == pytest.approx(20 / 392)


def test_winner_stands_by_its_seed_of_median_validation_accuracy(make_run: MakeRun) -> None:
    assert median_seed(load(make_run())) == 2
    assert median_seed(load(make_run("untested", parts="trials"))) is None

"""How sure differences are: against published examples and what can be counted by hand."""

import json
import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from cifake_ray.reporting.certainty import certainty, gain, mcnemar_pairs, median_seed
from cifake_ray.reporting.load import load
from cifake_ray.reporting.tables import comparison_table
from cifake_ray.reporting.text import headlines
from cifake_ray.stats.intervals import Z95, paired_interval
from cifake_ray.stats.significance import holm, mcnemar

from .conftest import MakeRun, write_predictions


def test_mcnemar_is_the_mid_p_of_a_published_example() -> None:
    """Fagerland, Lydersen and Laake 2013, BMC Medical Research Methodology 13:91, table 1: 1 and 7 discordant pairs."""
    assert mcnemar(1, 7) == pytest.approx(0.039, abs=5e-4)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert binomtest(1, 8).pvalue == pytest.approx(0.070, abs=5e-4)  # the exact test, more cautious


@pytest.mark.parametrize("count", [0, 1, 40])
def test_winners_with_equally_many_errors_of_their_own_do_not_differ(count: int) -> None:
    assert mcnemar(count, count) == 1.0


def test_holm_multiplies_by_the_tests_that_are_left_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_interval_of_one_seed_is_that_over_images() -> None:
    differences = np.array([[1.0, 0, 0, -1, 1, 0, 0, 0]])
    found = paired_interval(differences)
    half = Z95 * math.sqrt(differences[0].var(ddof=1) / 8)
    assert (found.value, found.low, found.high) == pytest.approx((0.125, 0.125 - half, 0.125 + half))


def test_interval_covers_the_choice_of_seeds_too() -> None:
    images = np.zeros(10_000)
    shifts = (0.0, 0.02, 0.04)
    differences = np.array([np.where(np.arange(10_000) < shift * 10_000, 1.0, images) for shift in shifts])
    found = paired_interval(differences)
    assert found.value == pytest.approx(0.02)
    assert found.low < 0 < found.high  # t with about 2 degrees of freedom: 4.3 times 0.0115


def test_intervals_hold_the_true_gain_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(400):
        seeds = 0.02 + 0.01 * rng.standard_normal(3)
        drawn = rng.random((3, 800))
        differences = np.where(drawn < 0.05 + seeds[:, None], 1.0, np.where(drawn > 0.95, -1.0, 0.0))
        found = paired_interval(differences)
        covered += found.low <= 0.02 <= found.high
    assert 0.93 <= covered / 400 <= 1.0


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
    sentence = next(line for line in headlines([study], comparison_table([study])) if "tuning gained" in line)
    found = certainty(study).gain
    assert found is not None
    assert found.low > 0
    assert f"95 % interval of the gain {100 * found.low:+.2f} to {100 * found.high:+.2f}." in sentence


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
    assert not any("tuning gained" in line for line in headlines([study], comparison_table([study])))


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

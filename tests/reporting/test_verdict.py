"""The verdict at its boundaries."""

import math

import pytest

from cifake_ray.reporting.verdict import NEITHER, VERDICT_RULE, answer_verdict, verdict

MANY = 1_000_000


@pytest.mark.parametrize(
    ("train", "val", "word"),
    [
        (0.98, 0.96, NEITHER),  # a gap of exactly 2 points is not above it
        (0.98, 0.959, "overfitting"),
        (0.90, 0.89, NEITHER),  # training accuracy of exactly 90 % is not below it
        (0.899, 0.89, "underfitting"),
        (0.85, 0.80, "overfitting"),  # a gap weighs more than a low training accuracy
        (0.95, 0.97, NEITHER),
        (math.nan, 0.9, "unknown"),
    ],
)
def test_verdict_follows_its_rule_at_the_boundaries(train: float, val: float, word: str) -> None:
    assert verdict(train, val, MANY, MANY).word == word


def test_gap_that_may_be_chance_is_no_overfitting() -> None:
    assert verdict(0.96, 0.93, 100, 100).word == NEITHER
    assert "chance" in verdict(0.96, 0.93, 100, 100).reason


def test_verdict_is_unknown_without_the_number_of_images() -> None:
    assert verdict(0.99, 0.90, None, None).word == "unknown"


@pytest.mark.parametrize(
    ("curve", "word"),
    [
        ([0.90, 0.93, 0.95], "underfitting"),  # the last epoch was the best and rose by 2 points
        ([0.90, 0.946, 0.95], NEITHER),  # it rose by 0.4 points
        ([0.96, 0.93, 0.95], NEITHER),  # it was not the best
        ([0.95], NEITHER),
    ],
)
def test_still_rising_at_the_end_is_underfitting(curve: list[float], word: str) -> None:
    assert verdict(0.96, 0.95, MANY, MANY, curve).word == word


def test_rule_states_its_thresholds() -> None:
    assert all(part in VERDICT_RULE for part in ("more than 2 points", "below 90 %", "0.5 points"))


def test_one_answer_and_an_order_worse_than_chance_come_before_any_gap() -> None:
    assert NEITHER in VERDICT_RULE
    only = answer_verdict(["REAL"], 0.37, 0.99)
    assert only is not None
    assert (only.word, "99.00 %" in only.reason) == ("says REAL only", True)
    worse = answer_verdict(["FAKE", "REAL"], 0.37, 0.99)
    assert worse is not None
    assert worse.word == "worse than chance"
    assert answer_verdict(["FAKE", "REAL"], 0.9, 0.5) is None
    assert answer_verdict([], float("nan"), 0.5) is None

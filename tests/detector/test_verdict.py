"""The verdict rule: which label is excluded at which alpha, what is unsure, and with which reason."""

import json

import numpy as np
import pytest

from cifake_ray.detector.domain import Judged
from cifake_ray.detector.verdict import Rule, check_rule, decide, outside_of
from cifake_ray.errors import InputError
from cifake_ray.runs.records import Decision

INSIDE = Judged("inside", 0.5)


def drawn(count: int, apart: float = 3.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels, half FAKE, and logits of FAKE; larger `apart`, fewer errors."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.array([0, 1], np.uint8), count // 2)
    return labels, np.where(labels == 0, apart, -apart) + rng.normal(0, 1.5, count)


def words(rule: Rule, *logits: float, outside: bool = False) -> list[str]:
    codes = rule.verdicts(np.array(logits), np.full(len(logits), outside))
    return [("fake", "real", "unsure")[code] for code in codes]


def test_a_label_is_excluded_beyond_the_rank_that_alpha_allows() -> None:
    labels = np.repeat(np.array([0, 1], np.uint8), 199)
    logits = np.concatenate([np.arange(199) / 10, -np.arange(199) / 10])  # FAKE from 0 up, REAL from 0 down
    rule = Rule(decide(labels, logits), 0.05)
    assert [found.rank for found in rule.limits if found] == [10, 10]  # floor(0.05 * 200): 0.9 of FAKE, -0.9 of REAL
    assert words(rule, -0.91, -0.9, -0.89, 0.0, 0.89, 0.9, 0.91) == [
        "real", "real", "unsure", "unsure", "unsure", "fake", "fake"
    ]  # fmt: skip


def test_between_classes_that_lie_apart_neither_label_is_plausible() -> None:
    labels, logits = drawn(400, apart=20.0)
    rule = Rule(decide(labels, logits), 0.05)
    assert words(rule, -20.0, 0.0, 20.0) == ["real", "unsure", "fake"]
    assert rule.reasons(0.0, INSIDE)[0].startswith("neither label is plausible")


def test_of_new_pictures_no_more_than_alpha_lose_their_label_on_average() -> None:
    shares = []
    for seed in range(60):
        labels, logits = drawn(2000, apart=1.0, seed=seed)
        rule = Rule(decide(labels[::2], logits[::2]), 0.05)
        excluded = rule.excluded(logits[1::2])
        shares.append([excluded[labels[1::2] == label, label].mean() for label in (0, 1)])
    assert np.mean(shares, axis=0) == pytest.approx([0.05, 0.05], abs=0.005)


def test_equal_logits_exclude_nothing_and_are_unsure() -> None:
    labels, logits = drawn(2000)
    for constant in (0.0, 7.5, np.inf, -np.inf):
        rule = Rule(decide(labels, np.full(2000, constant)))
        assert words(rule, constant) == ["unsure"]
    tied = np.where(np.arange(2000) % 2, logits, np.sign(logits) * 4.0)  # every second logit is 4 or -4
    found = Rule(decide(labels, tied), 0.5).excluded(tied)
    assert found[labels == 0, 0].mean() <= 0.5
    assert found[labels == 1, 1].mean() <= 0.5


def test_infinite_logits_are_the_surest_and_stay_within_json() -> None:
    labels, logits = drawn(2000)
    logits[[0, -1]] = [np.inf, -np.inf]
    decision = decide(labels, logits)
    again = Decision.parse(json.loads(json.dumps(decision.as_json(), allow_nan=False)))
    rule = Rule(again)
    assert again == decision
    assert words(rule, np.inf, -np.inf) == ["fake", "real"]
    assert rule.probabilities(np.array([np.inf, -np.inf])).tolist() == [1.0, 0.0]
    errors = logits.copy()
    errors[labels == 1] = np.where(np.arange(1000) < 20, np.inf, logits[labels == 1])  # 2 % of REAL
    assert words(Rule(decide(labels, errors), 0.01), np.inf) == ["unsure"]


def test_a_logit_equal_to_the_deciding_one_is_not_excluded_after_json() -> None:
    labels, logits = drawn(4000)
    decision = Decision.parse(json.loads(json.dumps(decide(labels, logits).as_json())))
    for alpha in (0.001, 0.01, 0.1):
        (fake, real) = Rule(decision, alpha).limits
        assert fake is not None
        assert real is not None
        strangest = np.sort(logits[labels == 1].astype(np.float32))[::-1]
        assert np.float32(real.value) == strangest[real.rank - 1]
        excluded = Rule(decision, alpha).excluded(np.array([real.value, np.nextafter(np.float32(real.value), np.inf)]))
        assert excluded[:, 1].tolist() == [False, True]
        lowest = np.sort(logits[labels == 0].astype(np.float32))
        assert np.float32(-fake.value) == lowest[fake.rank - 1]


def test_too_few_pictures_of_a_class_forbid_the_other_verdict_and_are_counted() -> None:
    labels, logits = drawn(400)
    few = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:40]])
    rule = Rule(decide(labels[few], logits[few]))
    assert words(rule, 30.0, -30.0) == ["unsure", "real"]
    assert rule.reasons(30.0, INSIDE) == [
        "both labels are plausible",
        "no verdict fake: 40 REAL calibration pictures, 59 more are needed at alpha 0.01",
    ]
    assert rule.lacking() == rule.reasons(30.0, INSIDE)[1:]
    assert Rule(rule.decision, 0.05).lacking() == []
    assert words(Rule(rule.decision, 0.05), 30.0) == ["fake"]


def test_outside_the_domain_is_unsure_and_the_domain_is_the_reason() -> None:
    labels, logits = drawn(2000)
    rule = Rule(decide(labels, logits))
    judged = Judged("outside", 9.0, "512 x 600 px; the model knows images of 32 px")
    assert words(rule, 30.0) == ["fake"]
    assert words(rule, 30.0, outside=True) == ["unsure"]
    assert rule.reasons(30.0, judged) == [
        "unlike the pictures that the model was calibrated on: 512 x 600 px; the model knows images of 32 px"
    ]
    assert rule.reasons(30.0, INSIDE) == [
        "REAL is not plausible: fewer than 10 of 1,000 REAL calibration pictures look as fake to the model"
    ]
    unknown = Judged("unknown", reason="the model has 3 validation images")
    assert rule.reasons(0.0, unknown)[-1] == "domain unknown: the model has 3 validation images"
    assert outside_of([judged, INSIDE, unknown]).tolist() == [True, False, False]


def test_the_strangest_of_few_is_named_as_none() -> None:
    labels, logits = drawn(240)
    assert Rule(decide(labels, logits)).reasons(30.0, INSIDE) == [
        "REAL is not plausible: none of 120 REAL calibration pictures look as fake to the model"
    ]


def test_the_prior_moves_the_probability_and_no_verdict() -> None:
    labels, logits = drawn(2000)
    even, rare = Rule(decide(labels, logits)), Rule(decide(labels, logits), prior=0.01)
    assert np.array_equal(
        even.verdicts(logits, np.zeros(2000, bool)), rare.verdicts(logits, np.zeros(2000, bool))
    )  # fmt: skip
    stated = even.probabilities(logits)
    assert rare.probabilities(logits) == pytest.approx(stated / (stated + 99 * (1 - stated)))


def test_a_model_worse_than_chance_promises_the_same() -> None:
    labels, logits = drawn(20_000)
    found = Rule(decide(labels[::2], -logits[::2]), 0.05).excluded(-logits[1::2])
    assert found[labels[1::2] == 1, 1].mean() == pytest.approx(0.05, abs=0.01)


def test_the_record_is_small_whatever_the_number_of_pictures() -> None:
    labels, logits = drawn(200_000)
    assert len(json.dumps(decide(labels, logits).as_json())) < 6000


@pytest.mark.parametrize(("alpha", "prior", "option"), [(0, 0.5, "alpha"), (0.6, 0.5, "alpha"), (0.01, 1, "prior")])
def test_what_is_no_alpha_or_prior_is_refused_in_one_line(alpha: float, prior: float, option: str) -> None:
    with pytest.raises(InputError, match=rf"--{option}: .*; give a number"):
        check_rule(alpha, prior)

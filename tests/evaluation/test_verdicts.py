"""Verdicts counted: by class and alpha, with and without a domain, and of subjects left out of training."""

import numpy as np
import pytest

from cifake_ray.data import Part
from cifake_ray.data.datasets.cifake import CARD
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.table import make_table
from cifake_ray.data.transform import Transform
from cifake_ray.detector.domain import Judged, describe_domain, properties
from cifake_ray.detector.verdict import Rule, decide
from cifake_ray.evaluation.verdicts import ALPHAS, judge_part, sets_of_test, verdict_rows
from cifake_ray.experiment import Data

RNG = np.random.default_rng(0)
LABELS = np.repeat(np.array([0, 1], np.uint8), 500)
LOGITS = np.where(LABELS == 0, 2.0, -2.0) + RNG.normal(0, 1.5, 1000)
DECISION = decide(LABELS, LOGITS)


def part_of(names: np.ndarray, images: np.ndarray) -> Part:
    labels = np.zeros(len(names), np.uint8)
    return Part(make_table("test", labels, names, facts_of(images)).with_groups(CARD), ArrayPixels(images), "", CARD)


def test_every_picture_gets_one_verdict_and_the_counts_are_those_of_the_rule() -> None:
    outside = np.arange(1000) % 50 == 0
    rows = verdict_rows(DECISION, LABELS, LOGITS, outside, (0.05, 0.01))
    assert [row.alpha for row in rows] == [0.01, 0.05]
    for row in rows:
        rule = Rule(DECISION, row.alpha)
        codes, excluded = rule.verdicts(LOGITS, outside), rule.excluded(LOGITS)
        for label, found in enumerate((row.fake, row.real)):
            of_class = label == LABELS
            assert found.images == found.fake + found.real + found.unsure == 500
            assert found.fake == (codes[of_class] == 0).sum()
            assert found.unsure >= found.outside == 10
            assert found.excluded == excluded[of_class, label].sum()
            assert (found.rank, found.calibrated) == (round(501 * row.alpha - 0.5), 500)


def test_on_its_own_calibration_pictures_one_less_than_the_rank_is_excluded() -> None:
    (row,) = verdict_rows(DECISION, LABELS, LOGITS, np.zeros(1000, bool), (0.01,))
    assert (row.fake.excluded, row.real.excluded) == (4, 4)  # rank 5 of 500


def test_a_higher_alpha_gives_no_fewer_exclusions() -> None:
    rows = verdict_rows(DECISION, LABELS, LOGITS, np.zeros(1000, bool))
    excluded = [row.real.excluded for row in rows]
    assert len(rows) == len(ALPHAS)
    assert excluded == sorted(excluded)
    assert rows[0].real.rank == 0  # 500 pictures are too few for alpha 0.001


def test_pictures_of_one_class_have_no_counts_of_the_other() -> None:
    (row,) = verdict_rows(DECISION, LABELS[:500], LOGITS[:500], np.zeros(500, bool), (0.05,))
    assert (row.fake.images, row.real.images, row.real.unsure) == (500, 0, 0)


def test_left_out_subjects_are_a_set_of_their_own_and_not_drawn_as_validation() -> None:
    names = np.array([f"{number:04d}{' (3)' * (number % 4 == 0)}.jpg" for number in range(40)])
    part = part_of(names, RNG.integers(0, 256, (40, 8, 8, 3), dtype=np.uint8))
    judged, rows = [Judged("inside", 0.1)] * 40, np.arange(40) < 36
    test, unseen = sets_of_test(DECISION, part, np.zeros(40), judged, rows, Data(leave_out=["bird"]))
    assert (test.name, test.like_calibration, test.rows[0].fake.images) == ("test part", True, 27)
    assert (unseen.name, unseen.like_calibration) == ("left out of training: bird", False)
    assert unseen.rows[0].fake.images == 9
    assert [one.name for one in sets_of_test(DECISION, part, np.zeros(40), judged, rows, Data())] == ["test part"]


def test_each_picture_of_a_part_is_judged_by_its_square_and_its_size() -> None:
    usual = RNG.integers(90, 120, (300, 8, 8, 3), dtype=np.uint8)
    domain = describe_domain(properties(usual), (8, 8))
    images = np.concatenate([usual[:5], np.full((2, 8, 8, 3), 255, np.uint8)])
    part = part_of(np.array([f"{number}.png" for number in range(7)]), images)
    judged = judge_part(domain, part, Transform("resize", 8))
    assert [one.domain for one in judged][5:] == ["outside"] * 2
    assert [one.domain for one in judged].count("outside") <= 3
    assert {one.domain for one in judge_part(None, part, Transform("resize", 8))} == {"unknown"}


@pytest.mark.parametrize("alpha", [0.01, 0.03])
def test_an_alpha_that_is_asked_for_twice_is_one_row(alpha: float) -> None:
    rows = verdict_rows(DECISION, LABELS, LOGITS, np.zeros(1000, bool), (*ALPHAS, alpha))
    assert len({row.alpha for row in rows}) == len(rows)
    assert alpha in {row.alpha for row in rows}

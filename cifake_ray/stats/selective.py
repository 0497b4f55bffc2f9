"""What a classifier that may refuse to answer is worth."""

from dataclasses import dataclass

from cifake_ray.stats.intervals import Interval, wilson


@dataclass(frozen=True)
class Selective:
    """coverage: share that gets an answer. risk: share of the answers that is wrong; None without an answer."""

    coverage: Interval
    risk: Interval | None


def risk_and_coverage(right: int, wrong: int, refused: int) -> Selective:
    """Risk and coverage, with 95 % Wilson intervals, of these counts of answers and refusals (one at least).

    El-Yaniv and Wiener (2010), "On the foundations of noise-free selective classification", JMLR 11, 1605-1641.
    """
    answered = right + wrong
    images = answered + refused
    coverage = Interval(answered / images, *wilson(answered / images, images))
    risk = Interval(wrong / answered, *wilson(wrong / answered, answered)) if answered else None
    return Selective(coverage, risk)

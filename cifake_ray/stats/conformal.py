"""Class-conditional split conformal prediction: which labels a picture may have, at a stated share of errors.

V. Vovk (2013), "Conditional validity of inductive conformal predictors", Machine Learning 92, 349-376 (the label-
conditional, or Mondrian, predictor); Sadinle, Lei and Wasserman (2019), "Least ambiguous set-valued classifiers with
bounded error levels", J. Am. Stat. Assoc. 114, 223-234.

Each calibration picture of a class has a strangeness: how unlike the class it looks. A label is excluded for a picture
that is stranger than the k-th strangest of the class's m calibration pictures, k = floor(alpha (m + 1)). If the picture
is of this class and drawn like the calibration pictures, that happens with probability k / (m + 1) at most: exactly so
without ties, and less often with ties, because an equal picture is not stranger.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

_WHOLE = 1e-9  # a product of decimals that is this near below a whole number is that number: 0.29 * 100
_GROWTH = 10  # ranks above 10 are kept about a tenth apart
USUAL = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)  # alphas whose ranks are kept exactly


@dataclass(frozen=True)
class Limit:
    """Above `value` a strangeness excludes the class: the `rank`-th largest of `images` calibration pictures."""

    rank: int
    images: int
    value: float

    @property
    def promised(self) -> float:
        """The share of pictures of the class that lose their own label, in expectation at most."""
        return self.rank / (self.images + 1)


def needed(alpha: float) -> int:
    """Calibration pictures of a class below which its label can never be excluded: 1 / alpha - 1."""
    return math.ceil(1 / alpha - 1 - _WHOLE)


def rank_of(alpha: float, images: int) -> int:
    """floor(alpha (images + 1)): how many of `images` calibration pictures may be as strange as an excluded one."""
    return math.floor(alpha * (images + 1) + _WHOLE)


def ranked(strangeness: np.ndarray) -> dict[int, float]:
    """What is kept of a class's calibration pictures, for any alpha up to 0.5: rank (1 = the strangest) to strangeness.

    strangeness: float [m]. Ranks are thinned: each up to 10, then about every tenth part more, and those of the USUAL
    alphas. Another alpha takes the next lower rank that is kept (`limit`): a tenth more careful at most, never less.
    """
    ordered = np.sort(np.asarray(strangeness))[::-1]
    last = rank_of(max(USUAL), len(ordered))
    ranks = {rank for alpha in USUAL if (rank := rank_of(alpha, len(ordered)))}
    rank = 1
    while rank <= last:
        ranks.add(rank)
        rank += max(1, rank // _GROWTH)
    return {rank: float(ordered[rank - 1]) for rank in sorted(ranks)}


def limit(kept: Mapping[int, float], images: int, alpha: float) -> Limit | None:
    """The limit at `alpha` by the largest rank in `kept` that alpha allows; None with too few pictures (`needed`)."""
    allowed = [rank for rank in kept if rank <= rank_of(alpha, images)]
    return Limit(max(allowed), images, kept[max(allowed)]) if allowed else None


def excluded_interval(rank: int, images: int, tested: int) -> tuple[int, int]:
    """Between which counts, of `tested` pictures of the class, those that lose their own label lie with 95 %.

    The count is beta-binomial, for a limit of this rank among `images` calibration pictures: P. C. Marques F. (2023),
    "Universal distribution of the empirical coverage in split conformal prediction", arXiv 2303.02770. Without ties;
    with ties the count is lower. rank 0: no label is ever lost.
    """
    if rank == 0:
        return 0, 0
    from scipy.stats import betabinom  # half a second to import

    law = betabinom(tested, rank, images + 1 - rank)
    return int(law.ppf(0.025)), int(law.ppf(0.975))

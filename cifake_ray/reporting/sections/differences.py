"""Winners of two studies against each other on the same test images."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cifake_ray.reporting.formatting import points_with_interval, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.winners import median_seed
from cifake_ray.stats.intervals import Interval, matched_difference
from cifake_ray.stats.significance import holm, mcnemar

_METHOD = (
    "McNemar's test, mid-p (Fagerland, Lydersen and Laake 2013), compares the winners of two studies, each by its seed "
    "of median validation accuracy, on the same test images without duplicates; p is also given after Holm's "
    "correction for the number of pairs. The interval of the difference is Agresti and Min's (2005). Neither covers "
    "the choice of seeds."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for every two studies tested on the same images."""
    rows = [_row(pair) for pair in mcnemar_pairs(studies)]
    return Section("Winners against each other", tables=(Table(rows),), method=_METHOD) if rows else None


@dataclass(frozen=True)
class Pair:
    """Two studies' winners on the same images: how many only one of them judged rightly, difference, p."""

    first: str
    second: str
    only_first: int
    only_second: int
    difference: Interval
    p: float
    p_holm: float


def mcnemar_pairs(studies: Sequence[Study]) -> list[Pair]:
    """Every two tested studies of the same images."""
    found = []
    for first, second in combinations(studies, 2):
        rights = [_right(study) for study in (first, second)]
        if rights[0] is None or rights[1] is None or not _same_images(first, second):
            continue
        only = int((rights[0] & ~rights[1]).sum()), int((rights[1] & ~rights[0]).sum())
        found.append((first.name, second.name, *only, matched_difference(*only, len(rights[0])), mcnemar(*only)))
    adjusted = holm([pair[-1] for pair in found])
    return [Pair(*pair, p_holm) for pair, p_holm in zip(found, adjusted, strict=True)]


def _right(study: Study) -> np.ndarray | None:
    seed = median_seed(study)
    return None if seed is None or study.predictions is None else study.predictions.right("tuned", seed)


def _same_images(first: Study, second: Study) -> bool:
    one, other = (study.records.environment.data.fingerprint for study in (first, second))
    assert first.predictions is not None
    assert second.predictions is not None
    return one == other and np.array_equal(first.predictions.labels, second.predictions.labels)


def _row(pair: Pair) -> dict[str, str]:
    return {
        "First": pair.first,
        "Second": pair.second,
        "Only first right": whole(pair.only_first),
        "Only second right": whole(pair.only_second),
        "Difference, points": points_with_interval(pair.difference),
        "p": _p(pair.p),
        "p, Holm": _p(pair.p_holm),
    }


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"

"""How sure a difference is: tuning's gain, spread over seeds, selection noise, McNemar's test between studies."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cifake_ray.reporting.load import ROLES, Study, number
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.stats.intervals import Interval, matched_difference, paired_interval
from cifake_ray.stats.significance import holm, mcnemar

GAIN_METHOD = (
    "Gain over the baseline: mean difference over the same test images and seeds. Its interval adds the variance over "
    "images to that over seeds (t distribution, degrees of freedom by Welch and Satterthwaite), so it covers the "
    "choice of both."
)
NOISE_METHOD = (
    "Selection noise: the winner's validation accuracy in the search minus the mean of its retrainings. The best of "
    "many trials is partly the luckiest, so it is usually above zero."
)
MCNEMAR_METHOD = (
    "McNemar's test, mid-p (Fagerland, Lydersen and Laake 2013), compares the winners of two studies, each by its seed "
    "of median validation accuracy, on the same test images without duplicates; p is also given after Holm's "
    "correction for the number of pairs. The interval of the difference is Agresti and Min's (2005). Neither covers "
    "the choice of seeds."
)


@dataclass(frozen=True)
class Certainty:
    """Of one study; accuracies 0..1, NaN where not measured. deviation: of test accuracy over seeds, n - 1."""

    study: str
    seeds: tuple[float, ...]
    deviation: float
    gain: Interval | None
    searched: float
    retrained: float

    @property
    def noise(self) -> float:
        return self.searched - self.retrained


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


def certainty(study: Study) -> Certainty:
    """What is known of a study's winner; test accuracies without duplicates of train images."""
    winner = study.winner("tuned")
    seeds = winner.get("seeds") or []
    tested = tuple(value for seed in seeds if not math.isnan(value := number(seed, "test_dedup", "accuracy", "value")))
    retrained = [number(seed, "val_accuracy") for seed in seeds]
    return Certainty(
        study.name,
        tested,
        float(np.std(tested, ddof=1)) if len(tested) > 1 else math.nan,
        study_gain(study),
        float(study.trial("tuned").get("val_accuracy", math.nan)),
        float(np.mean(retrained)) if retrained else math.nan,
    )


def study_gain(study: Study) -> Interval | None:
    """Tuned minus baseline, both retrained alike; None where they were trained for different epochs or not tested."""
    tuned, baseline = (study.winner(role) for role in ROLES)
    if study.predictions is None or tuned.get("trial_id") == 0 or tuned.get("epochs") != baseline.get("epochs"):
        return None
    return gain(study.predictions)


def gain(predictions: Predictions) -> Interval | None:
    """Tuned minus baseline over the seeds that both have; None where the baseline was the winner, or is not tested."""
    tuned, baseline = (predictions.p_fake.get(role, {}) for role in ("tuned", "baseline"))
    both = sorted(tuned.keys() & baseline.keys())
    if not both or not len(predictions.labels):
        return None
    return paired_interval(
        np.array([predictions.right("tuned", s).astype(float) - predictions.right("baseline", s) for s in both])
    )


def median_seed(study: Study) -> int | None:
    """The tuned seed of median validation accuracy, whose model is `best/`; None before the test."""
    known = study.predictions.p_fake.get("tuned", {}) if study.predictions else {}
    seeds = [seed for seed in study.winner("tuned").get("seeds") or [] if seed.get("seed") in known]
    ordered = sorted(seeds, key=lambda seed: number(seed, "val_accuracy"))
    return int(ordered[(len(ordered) - 1) // 2]["seed"]) if ordered else None


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
    known = first.data.get("fingerprint")
    assert first.predictions is not None
    assert second.predictions is not None
    return known == second.data.get("fingerprint") and np.array_equal(
        first.predictions.labels, second.predictions.labels
    )

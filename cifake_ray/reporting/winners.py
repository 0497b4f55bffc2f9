"""The retrained models of a study: which seed stands for the winner, and what tuning gained over the baseline."""

import numpy as np

from cifake_ray.reporting.load import ROLES, Study, number
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.stats.intervals import Interval, paired_interval


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

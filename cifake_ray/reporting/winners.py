"""The retrained models of a study: which seed stands for the winner, and what tuning gained over the baseline."""

import math

import numpy as np

from cifake_ray.reporting.load import Study
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.runs.records import Winner
from cifake_ray.stats.intervals import Interval, paired_interval


def study_gain(study: Study) -> Interval | None:
    """Tuned minus baseline, both retrained alike; None where they were trained for different epochs or not tested."""
    tuned, baseline = study.outcome("tuned"), study.outcome("baseline")
    if study.predictions is None or tuned is None or baseline is None:
        return None
    if tuned.trial_id == 0 or tuned.epochs != baseline.epochs:
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
    winner = study.outcome("tuned")
    seeds = [seed for seed in winner.seeds if seed.seed in known] if winner else []
    ordered = sorted(seeds, key=lambda seed: seed.val_accuracy)
    return ordered[(len(ordered) - 1) // 2].seed if ordered else None


def validation_auc(winner: Winner) -> float:
    """The mean over retrainings of the AUC on validation at the best epoch; NaN where it was not recorded."""
    known = [seed.val_auc for seed in winner.seeds if not math.isnan(seed.val_auc)]
    return sum(known) / len(known) if known else math.nan

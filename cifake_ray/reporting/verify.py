"""Test scores computed again from the stored predictions: a record that contradicts them is refused."""

from collections.abc import Callable, Mapping

import numpy as np

from cifake_ray.detector.verdict import Rule
from cifake_ray.errors import InputError
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.runs.records import Calibrated, Interval, Mean, Scores, Seed, Verdicts, Winner, Winners
from cifake_ray.stats.calibration import expected_calibration_error
from cifake_ray.stats.classification import accuracy, auc, balanced_accuracy, f1_fake
from cifake_ray.stats.intervals import wilson

METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "auc": auc,
    "f1_fake": f1_fake,
    "ece": expected_calibration_error,
}
_ROUNDING = 1e-6  # floats as JSON stores them, sums in another order
_NEAR = 0.001  # of the images: `evaluate --calibrate` computes logits again, perhaps on a processor with other rounding


def verified_test(test: Winners, stored: Predictions, file: str) -> Winners:
    """test.json with its scores as the predictions give them. Raises InputError, naming both values, if they differ.

    `test` (all images) and `test_dedup` (without duplicates of train images) of every seed and of their mean; limits of
    AUC, F1 and ECE are bootstrapped and kept. Adds `balanced_accuracy` where it is not noted, and to each winner
    `answers`: the labels that it gives at all.
    """
    parts = {"test": stored, "test_dedup": stored.without_duplicates()}
    counts = (("test_images", test.test_images, len(stored.labels)),
              ("duplicates_removed", test.duplicates_removed, int(stored.duplicate.sum())))  # fmt: skip
    for key, noted, found in counts:
        if noted is not None:
            _same(f"{file}: {key}", noted, found)
    return test.model_copy(update={"winners": [_verified_winner(winner, parts, file) for winner in test.winners]})


def _verified_winner(winner: Winner, parts: Mapping[str, Predictions], file: str) -> Winner:
    if all(seed.test.empty and seed.test_dedup.empty for seed in winner.seeds):
        return winner
    p_fake = {part: predictions.p_fake.get(winner.role, {}) for part, predictions in parts.items()}
    if lacking := [seed.seed for seed in winner.seeds if seed.seed not in p_fake["test"]]:
        raise InputError(
            f"{file}: {winner.role}, seed {lacking[0]}: no predictions", "`cifake-ray tune --resume` tests anew"
        )
    seeds, means = [], {}
    for seed in winner.seeds:
        where = f"{file}: {winner.role}, seed {seed.seed}"
        found = {part: _scores(predictions.labels, p_fake[part][seed.seed]) for part, predictions in parts.items()}
        seeds.append(seed.model_copy(update=_verified_parts(seed, found, parts, where)))
    for part, predictions in parts.items():
        values = {key: float(np.mean([getattr(getattr(seed, part), key).value for seed in seeds])) for key in METRICS}
        means[part] = _bounded(values, len(predictions.labels))
    checked = _verified_parts(winner.mean, means, parts, f"{file}: {winner.role}, mean over seeds")
    called = np.concatenate([p > 0.5 for p in p_fake["test_dedup"].values()])
    answers = [label for label, given in (("FAKE", called.any()), ("REAL", not called.all())) if given]
    return winner.model_copy(
        update={"seeds": seeds, "mean": winner.mean.model_copy(update=checked), "answers": answers}
    )


def _verified_parts(
    noted: Seed | Mean, computed: Mapping[str, Scores], parts: Mapping[str, Predictions], where: str
) -> dict[str, Scores]:
    """The scores of each part, checked."""
    return {
        part: _verified_scores(getattr(noted, part), scores, len(parts[part].labels), f"{where}, {part}")
        for part, scores in computed.items()
    }


def _scores(labels: np.ndarray, p_fake: np.ndarray) -> Scores:
    return _bounded({key: metric(labels, p_fake) for key, metric in METRICS.items()}, len(labels))


def _bounded(values: Mapping[str, float], images: int) -> Scores:
    low, high = wilson(values["accuracy"], images)
    limits = {"accuracy": {"low": low, "high": high}}
    return Scores(**{key: Interval(value=value, **limits.get(key, {})) for key, value in values.items()})


def _verified_scores(noted: Scores, computed: Scores, images: int, where: str) -> Scores:
    """The computed figures, with the noted limits of those that are bootstrapped."""
    checked = {
        metric: _verified_figure(getattr(noted, metric), getattr(computed, metric), images, f"{where}.{metric}")
        for metric in METRICS
    }
    return noted.model_copy(update=checked)


def _verified_figure(noted: Interval, computed: Interval, images: int, where: str) -> Interval:
    if noted.empty:
        return computed
    _same(where, noted.value, computed.value, _ROUNDING)
    limits = {limit: getattr(noted, limit) for limit in ("low", "high") if limit in noted.model_fields_set}
    for limit, value in limits.items():
        if limit in computed.model_fields_set:  # version 0.1 rounded a mean over seeds to whole images
            _same(f"{where}.{limit}", value, getattr(computed, limit), 1 / images)
    _check_limits(where, list(limits.values()))
    return noted.model_copy(update=computed.as_json())


def _same(where: str, noted: float, computed: float, tolerance: float = 0.0) -> None:
    if not abs(noted - computed) <= tolerance:
        raise InputError(
            f"{where} is noted as {noted!r}, but the stored predictions give {computed:.6g}",
            "one of the two files was changed: restore them, or remove test.json and `tune --resume` tests anew",
        )


def _check_limits(where: str, limits: list[float]) -> None:
    """Raise InputError for limits that are no interval; a bootstrapped one need not enclose the value itself."""
    if not all(0 <= limit <= 1 for limit in limits) or limits != sorted(limits):
        raise InputError(f"{where}: {limits} is no interval", "remove test.json and `tune --resume` tests anew")


def verify_verdicts(noted: Verdicts, calibrated: Calibrated, stored: Predictions, file: str) -> None:
    """Raise InputError where verdicts.json counts other images as excluded than the decision and the stored logits do.

    Runs of earlier versions store no logits, and are not checked.
    """
    decision, seed = calibrated.decision, calibrated.seed
    if decision is None or seed is None or seed not in stored.stored_logits.get("tuned", {}):
        return
    fresh = stored.without_duplicates()
    for alpha in {row.alpha for one in noted.sets for row in one.rows}:
        excluded = Rule(decision, alpha).excluded(fresh.logits("tuned", seed))
        for label, key in enumerate(("fake", "real")):
            rows = [getattr(row, key) for one in noted.sets for row in one.rows if row.alpha == alpha]
            where = f"{file}: at alpha {alpha:g}, {key.upper()}"
            images = int((fresh.labels == label).sum())
            _same(f"{where}.images", sum(row.images for row in rows), images)
            found = int(excluded[fresh.labels == label, label].sum())
            _same(f"{where}.excluded", sum(row.excluded for row in rows), found, max(1, _NEAR * images))

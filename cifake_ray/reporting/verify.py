"""Test scores computed again from the stored predictions: a record that contradicts them is refused."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cifake_ray.errors import InputError
from cifake_ray.reporting.predictions import Predictions
from cifake_ray.stats.calibration import expected_calibration_error
from cifake_ray.stats.classification import accuracy, auc, balanced_accuracy, f1_fake
from cifake_ray.stats.intervals import wilson

Scores = dict[str, dict[str, float]]
METRICS: Mapping[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "auc": auc,
    "f1_fake": f1_fake,
    "ece": expected_calibration_error,
}
_ROUNDING = 1e-6  # floats as JSON stores them, sums in another order


def verified_test(test: dict[str, Any], stored: Predictions, file: str) -> dict[str, Any]:
    """test.json with its scores as the predictions give them. Raises InputError, naming both values, if they differ.

    `test` (all images) and `test_dedup` (without duplicates of train images) of every seed and of their mean; limits of
    AUC, F1 and ECE are bootstrapped and kept. Adds `balanced_accuracy` where it is not noted, and to each winner
    `answers`: the labels that it gives at all.
    """
    parts = {"test": stored, "test_dedup": stored.without_duplicates()}
    _same(f"{file}: test_images", test.get("test_images", len(stored.labels)), len(stored.labels))
    removed = int(stored.duplicate.sum())
    _same(f"{file}: duplicates_removed", test.get("duplicates_removed", removed), removed)
    return test | {"winners": [_verified_winner(winner, parts, file) for winner in test["winners"]]}


def _verified_winner(winner: dict[str, Any], parts: Mapping[str, Predictions], file: str) -> dict[str, Any]:
    seeds, role = winner.get("seeds") or [], str(winner.get("role"))
    if not any(part in seed for seed in seeds for part in parts):
        return winner
    p_fake = {part: predictions.p_fake.get(role, {}) for part, predictions in parts.items()}
    if lacking := [seed.get("seed") for seed in seeds if seed.get("seed") not in p_fake["test"]]:
        raise InputError(f"{file}: {role}, seed {lacking[0]}: no predictions; `cifake-ray tune --resume` tests anew")
    found = [
        seed | {
            part: _verified_scores(seed.get(part), _scores(predictions.labels, p_fake[part][seed["seed"]]),
                                   len(predictions.labels), f"{file}: {role}, seed {seed['seed']}, {part}")
            for part, predictions in parts.items()
        }
        for seed in seeds
    ]  # fmt: skip
    mean = dict(winner.get("mean") or {})
    for part, predictions in parts.items():
        values = {key: float(np.mean([seed[part][key]["value"] for seed in found])) for key in METRICS}
        images = len(predictions.labels)
        expected = _bounded(values, images)
        mean[part] = _verified_scores(mean.get(part), expected, images, f"{file}: {role}, mean over seeds, {part}")
    called = np.concatenate([p > 0.5 for p in p_fake["test_dedup"].values()])
    answers = [label for label, given in (("FAKE", called.any()), ("REAL", not called.all())) if given]
    return winner | {"seeds": found, "mean": mean, "answers": answers}


def _scores(labels: np.ndarray, p_fake: np.ndarray) -> Scores:
    return _bounded({key: metric(labels, p_fake) for key, metric in METRICS.items()}, len(labels))


def _bounded(values: Mapping[str, float], images: int) -> Scores:
    low, high = wilson(values["accuracy"], images)
    return {key: {"value": value} for key, value in values.items()} | {
        "accuracy": {"value": values["accuracy"], "low": low, "high": high}
    }


def _verified_scores(noted: object, computed: Scores, images: int, where: str) -> dict[str, Any]:
    """The computed figures, with the noted limits of those that are bootstrapped."""
    if not isinstance(noted, dict):
        return dict(computed)
    result: dict[str, Any] = dict(noted)
    for metric, expected in computed.items():
        entry = noted.get(metric, expected)
        if not isinstance(entry, dict):
            entry = {"value": entry}
        _same(f"{where}.{metric}", entry.get("value"), expected["value"], _ROUNDING)
        for limit in ("low", "high"):
            if limit in expected and limit in entry:  # version 0.1 rounded a mean over seeds to whole images
                _same(f"{where}.{metric}.{limit}", entry[limit], expected[limit], 1 / images)
        _check_limits(f"{where}.{metric}", entry)
        result[metric] = entry | expected
    return result


def _same(place: str, noted: object, computed: float, tolerance: float = 0.0) -> None:
    if isinstance(noted, bool) or not isinstance(noted, int | float) or not abs(noted - computed) <= tolerance:
        raise InputError(
            f"{place} is noted as {noted!r}, but the stored predictions give {computed:.6g}; "
            "one of the two files was changed: restore them, or remove test.json and `tune --resume` tests anew"
        )


def _check_limits(place: str, entry: Mapping[str, Any]) -> None:
    """Raise InputError for limits that are no interval; a bootstrapped one need not enclose the value itself."""
    limits = [entry[key] for key in ("low", "high") if key in entry]
    if not all(isinstance(limit, int | float) and 0 <= limit <= 1 for limit in limits) or limits != sorted(limits):
        raise InputError(f"{place}: {limits} is no interval; remove test.json and `tune --resume` tests anew")

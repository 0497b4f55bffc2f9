"""test_predictions.npz as values: who was right about which test image, and what a report draws from that."""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cifake_ray.data.strata import SUBJECT_NAMES
from cifake_ray.errors import InputError

BINS = 10  # of the reliability diagram
_SHOWN = 20  # images that a bin of it must hold: the share among fewer says little
_POINTS = 150  # of a ROC curve that are kept: more cannot be told apart


@dataclass(frozen=True, eq=False)
class Predictions:
    """Test images that no train image equals, and each retraining's probability of FAKE.

    labels: uint8 [n], 0 FAKE, 1 REAL; subject: uint8 [n], 1..10, or None where names tell none; p_fake: by role and
    seed, float32 [n].
    """

    labels: np.ndarray
    subject: np.ndarray | None
    p_fake: dict[str, dict[int, np.ndarray]]

    def right(self, role: str, seed: int, threshold: float = 0.5) -> np.ndarray:
        """Which images were judged correctly: bool [n]."""
        judged: np.ndarray = (self.p_fake[role][seed] > threshold) == (self.labels == 0)
        return judged


def read_predictions(file: Path) -> Predictions | None:
    """None before the test. Raises InputError for a damaged file; nothing in it is unpickled."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            fresh = ~arrays["duplicate"]
            p_fake: dict[str, dict[int, np.ndarray]] = {}
            for name in arrays.files:
                role, _, seed = name.rpartition("_")
                if role in ("tuned", "baseline"):
                    p_fake.setdefault(role, {})[int(seed)] = arrays[name][fresh]
            subject = arrays["subject"][fresh] if "subject" in arrays.files else None
            return Predictions(arrays["labels"][fresh], subject, p_fake)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{file}: damaged ({error}); `cifake-ray tune --resume` tests the winners anew") from error


def roc(predictions: Predictions, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The tuned model's shares of REAL called FAKE and of FAKE recognised, float [m] each, m at most about 150."""
    p_fake = predictions.p_fake["tuned"][seed]
    order = np.argsort(-p_fake, kind="stable")
    fake, scores = predictions.labels[order] == 0, p_fake[order]
    ends = np.flatnonzero(np.append(scores[1:] < scores[:-1], True))  # equal scores are called together
    true, false = np.cumsum(fake)[ends] / max(fake.sum(), 1), np.cumsum(~fake)[ends] / max((~fake).sum(), 1)
    even = np.unique(np.linspace(0, len(ends) - 1, _POINTS).astype(int))
    return false[even], true[even]


def reliability(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Mean probability of FAKE stated by the tuned model, and the share that is FAKE, in bins of it; seeds pooled."""
    stated = np.concatenate(list(predictions.p_fake["tuned"].values()))
    fake = np.tile(predictions.labels == 0, len(predictions.p_fake["tuned"]))
    bins = np.minimum((stated * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    kept = counts >= _SHOWN
    means = [np.bincount(bins, weights=values, minlength=BINS)[kept] / counts[kept] for values in (stated, fake)]
    return means[0], means[1]


def confusion(predictions: Predictions) -> np.ndarray:
    """[actual, called] in the order FAKE, REAL: images, mean over the tuned model's seeds, float [2, 2]."""
    tables = []
    for p_fake in predictions.p_fake["tuned"].values():
        called = np.where(p_fake > 0.5, 0, 1)
        tables.append(np.bincount(2 * predictions.labels.astype(int) + called, minlength=4).reshape(2, 2))
    mean: np.ndarray = np.mean(tables, axis=0)
    return mean


def by_subject(predictions: Predictions) -> dict[str, float]:
    """Accuracy of the tuned model, mean over seeds, on each subject of the test part; {} where names tell none."""
    if predictions.subject is None:
        return {}
    right = np.mean([predictions.right("tuned", seed) for seed in predictions.p_fake["tuned"]], axis=0)
    numbers = [number for number in range(1, len(SUBJECT_NAMES) + 1) if (predictions.subject == number).any()]
    return {SUBJECT_NAMES[number - 1]: float(right[predictions.subject == number].mean()) for number in numbers}

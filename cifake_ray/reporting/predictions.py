"""test_predictions.npz as values: who was right about which test image, and what a report draws from that."""

import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.special import logit

from cifake_ray.errors import InputError
from cifake_ray.runs.predictions import ROLES


@dataclass(frozen=True, eq=False)
class Predictions:
    """Test images, and each retraining's probability of FAKE.

    labels: uint8 [n], 0 FAKE, 1 REAL; duplicate: bool [n], equals a train image; subject: uint8 [n], 1..10, or None
    where none is known; p_fake: by role and seed, float32 [n], 0..1; groups: by column, unicode [n], the group of each
    image, "" where it is not known; stored_logits: of FAKE, as p_fake, {} in earlier versions.
    """

    labels: np.ndarray
    duplicate: np.ndarray
    subject: np.ndarray | None
    p_fake: dict[str, dict[int, np.ndarray]]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)
    stored_logits: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)

    def right(self, role: str, seed: int) -> np.ndarray:
        """Which images were judged correctly at probability 0.5: bool [n]."""
        judged: np.ndarray = (self.p_fake[role][seed] > 0.5) == (self.labels == 0)
        return judged

    def with_names(self, column: str, names: Sequence[str]) -> "Predictions":
        """The same with the subjects as a group column too; names: what the numbers 1, 2, … stand for."""
        if self.subject is None:
            return self
        named = np.array(["", *names], dtype=np.str_)[np.where(self.subject <= len(names), self.subject, 0)]
        return replace(self, groups={**self.groups, column: named})

    def logits(self, role: str, seed: int) -> np.ndarray:
        """Logits of FAKE, float64 [n]; where none are stored, those of the probabilities.

        A probability that float32 rounds to 1 then has the least logit that is rounded so.
        """
        if (stored := self.stored_logits.get(role, {}).get(seed)) is not None:
            return stored.astype(np.float64)
        p_fake = self.p_fake[role][seed].astype(np.float64)
        tiny, below_one = float(np.finfo(np.float32).tiny), 1 - float(np.finfo(np.float32).epsneg) / 2
        return np.asarray(logit(np.clip(p_fake, tiny, below_one)))

    def without_duplicates(self) -> "Predictions":
        """The images that no train image equals."""
        fresh = ~self.duplicate
        subject = None if self.subject is None else self.subject[fresh]
        groups = {column: values[fresh] for column, values in self.groups.items()}
        p_fake, logits = (
            {role: {seed: values[fresh] for seed, values in seeds.items()} for role, seeds in stored.items()}
            for stored in (self.p_fake, self.stored_logits)
        )
        return Predictions(self.labels[fresh], self.duplicate[fresh], subject, p_fake, groups, logits)


def read_predictions(file: Path) -> Predictions | None:
    """All test images; None before the test. Raises InputError for a damaged file; nothing in it is unpickled."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            p_fake, logits = dict[str, dict[int, np.ndarray]](), dict[str, dict[int, np.ndarray]]()
            for name in arrays.files:
                kind, _, seed = name.rpartition("_")
                role = kind.removeprefix("logit_")
                if role in ROLES:
                    (p_fake if role == kind else logits).setdefault(role, {})[int(seed)] = arrays[name]
            subject = arrays["subject"] if "subject" in arrays.files else None
            groups = {
                column: _named(arrays[column], arrays[name])
                for name in arrays.files
                if (column := name.removesuffix("_values")) != name
            }
            found = Predictions(arrays["labels"], arrays["duplicate"].astype(bool), subject, p_fake, groups, logits)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, IndexError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise _damaged(file, str(error)) from error
    _check(file, found)
    return found


def _named(codes: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The groups that the codes 1, 2, … of a column stand for: unicode [n]. Raises ValueError for another code."""
    if not np.isin(codes, np.arange(1, len(values) + 1)).all():
        raise ValueError(f"a group that is none of the {len(values)}")
    named: np.ndarray = values[codes.astype(np.int64) - 1]
    return named


def _check(file: Path, found: Predictions) -> None:
    """Raise InputError for labels other than 0 and 1, arrays of other lengths, and what is no probability."""
    if not np.isin(found.labels, (0, 1)).all():
        raise _damaged(file, "a label that is neither 0 (FAKE) nor 1 (REAL)")
    if len(found.duplicate) != len(found.labels):
        raise _damaged(file, "duplicate has another length than labels")
    if other := [column for column, values in found.groups.items() if len(values) != len(found.labels)]:
        raise _damaged(file, f"{other[0]} has another length than labels")
    for role, seeds in found.p_fake.items():
        for seed, p_fake in seeds.items():
            if p_fake.shape != found.labels.shape:
                raise _damaged(file, f"{role}_{seed} has another length than labels")
            if not ((p_fake >= 0) & (p_fake <= 1)).all():  # NaN is neither
                raise _damaged(file, f"{role}_{seed} holds values that are no probability")
    for role, seeds in found.stored_logits.items():
        for seed, logits in seeds.items():
            if logits.shape != found.labels.shape or np.isnan(logits).any():
                raise _damaged(file, f"logit_{role}_{seed} is of another length, or has values that are no numbers")


def _damaged(file: Path, reason: str) -> InputError:
    return InputError(f"{file}: damaged ({reason})", "`cifake-ray tune --resume` tests the winners anew")


def by_subject(predictions: Predictions, subjects: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Accuracy of the tuned model, mean over seeds, and images, of each subject of the test part; {} if none is known.

    subjects: what the numbers 1, 2, … stand for.
    """
    if predictions.subject is None:
        return {}
    right = np.mean([predictions.right("tuned", seed) for seed in predictions.p_fake["tuned"]], axis=0)
    shows = {subject: predictions.subject == number for number, subject in enumerate(subjects, 1)}
    return {subject: (float(right[rows].mean()), int(rows.sum())) for subject, rows in shows.items() if rows.any()}

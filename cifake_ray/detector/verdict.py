"""The verdict on a picture, `fake`, `real` or `unsure`, and the calibrated probability of FAKE; NumPy alone.

A label that the logit makes implausible at `alpha` is excluded (`stats.conformal`). One label left is the verdict; both
or none is `unsure`, and so is a picture unlike those of calibration. No threshold here decides an accuracy: that is 0.5
of the uncalibrated probability (`detector.decision`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from cifake_ray.detector.domain import Judged
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import SCHEMA, ClassLogits, Decision
from cifake_ray.stats.conformal import USUAL, Limit, limit, needed, ranked
from cifake_ray.stats.platt import LARGEST, fit_platt, probability

Verdict = Literal["fake", "real", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)  # the codes 0, 1, 2
ALPHA = 0.01  # of the pictures of a class, how many may lose their own label
VALIDATION = "validation"  # what a decision was calibrated on, unless on pictures of the user's own
UNSURE = VERDICTS.index("unsure")


def decide(labels: np.ndarray, logits: np.ndarray, calibrated_on: str = VALIDATION) -> Decision:
    """The decision that follows from calibration pictures: Platt's a and b, and the strangest logits of each class.

    labels: uint8 [n], 0 FAKE, 1 REAL, both present; logits: float [n] of FAKE, rounded to float32, infinite ones too.
    """
    rounded = _rounded(logits)
    a, b = fit_platt(np.asarray(logits, np.float32).astype(np.float64), labels == 0)
    return Decision(
        schema_version=SCHEMA,
        calibrated_on=calibrated_on,
        a=a,
        b=b,
        fake=_strangest(-rounded[labels == 0], -1),
        real=_strangest(rounded[labels == 1], 1),
    )


def _strangest(strangeness: np.ndarray, sign: int) -> ClassLogits:
    """The thinned ranks of one class; `sign`: of the logit in the strangeness."""
    kept = {str(rank): sign * _short(value) for rank, value in ranked(strangeness).items()}
    return ClassLogits(images=len(strangeness), strangest=kept)


def _rounded(logits: np.ndarray) -> np.ndarray:
    """The logits as a record can hold and compare them: float32, finite."""
    return np.clip(np.asarray(logits, np.float64), -LARGEST, LARGEST).astype(np.float32)


def _short(value: float) -> float:
    """The decimal of fewest digits that is this float32: 0.1, not 0.10000000149011612."""
    return float(str(np.float32(value)))


@dataclass(frozen=True)
class Rule:
    """A decision at one alpha, and the share of FAKE among the pictures in question, for the probability alone.

    Raises InputError for an alpha or a prior that is none.
    """

    decision: Decision
    alpha: float = ALPHA
    prior: float = 0.5

    def __post_init__(self) -> None:
        check_rule(self.alpha, self.prior)

    @cached_property
    def limits(self) -> tuple[Limit | None, Limit | None]:
        """The limits of FAKE and of REAL, in strangeness (minus the logit, the logit); None: never excluded."""
        return tuple(
            limit({int(rank): sign * logit for rank, logit in of.strangest.items()}, of.images, self.alpha)
            for of, sign in ((self.decision.fake, -1), (self.decision.real, 1))
        )  # type: ignore[return-value]

    def excluded(self, logits: np.ndarray) -> np.ndarray:
        """Which labels the logits, float [n], exclude: bool [n, 2], FAKE and REAL."""
        rounded = _rounded(logits)
        columns = [
            np.zeros(len(rounded), bool) if found is None else sign * rounded > np.float32(found.value)
            for found, sign in zip(self.limits, (-1, 1), strict=True)
        ]
        return np.stack(columns, axis=1)

    def verdicts(self, logits: np.ndarray, outside: np.ndarray) -> np.ndarray:
        """Codes of VERDICTS, int [n]. logits: float [n]; outside: bool [n], unlike the calibration pictures."""
        no_fake, no_real = self.excluded(logits).T
        found = np.select([no_real & ~no_fake, no_fake & ~no_real], [0, 1], UNSURE)
        return np.asarray(np.where(outside, UNSURE, found))

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated p(FAKE), float64 [n], at the prior."""
        return probability(logits, self.decision.a, self.decision.b, self.prior)

    def reasons(self, logit: float, judged: Judged) -> list[str]:
        """Why the verdict on one picture is what it is; outside the domain the logit says nothing, and is no reason."""
        if judged.domain == "outside":
            return [f"unlike the pictures that the model was calibrated on: {judged.reason}"]
        no_fake, no_real = self.excluded(np.array([logit]))[0].tolist()
        found = _by_logit(self, no_fake=no_fake, no_real=no_real)
        return found + ([f"domain unknown: {judged.reason}"] if judged.domain == "unknown" and judged.reason else [])

    def lacking(self) -> list[str]:
        """Which verdicts cannot be given for lack of calibration pictures, and how many are missing."""
        return [
            f"no verdict {verdict}: {of.images:,} {label} calibration pictures, {missing:,} more are needed at alpha "
            f"{self.alpha:g}"
            for verdict, label, of in (("fake", LABELS[1], self.decision.real), ("real", LABELS[0], self.decision.fake))
            if (missing := needed(self.alpha) - of.images) > 0
        ]


def check_rule(alpha: float, prior: float = 0.5) -> None:
    """Raise InputError for an alpha that is no share of errors, or a prior that leaves nothing to find out."""
    if not 0 < alpha <= max(USUAL):
        raise InputError(f"--alpha: {alpha:g} is no share of errors to allow", "give a number above 0, at most 0.5")
    if not 0 < prior < 1:
        raise InputError(f"--prior: {prior:g} is no share of FAKE pictures", "give a number between 0 and 1")


def _by_logit(rule: Rule, *, no_fake: bool, no_real: bool) -> list[str]:
    """What the logit says of the two labels."""
    of_fake, of_real = rule.limits
    if no_fake and no_real:
        return ["neither label is plausible: between what FAKE and what REAL calibration pictures look like"]
    if no_real and of_real is not None:
        return [f"REAL is not plausible: {_fewer(of_real)} REAL calibration pictures look as fake to the model"]
    if no_fake and of_fake is not None:
        return [f"FAKE is not plausible: {_fewer(of_fake)} FAKE calibration pictures look as real to the model"]
    return ["both labels are plausible", *rule.lacking()]


def _fewer(found: Limit) -> str:
    """`fewer than 100 of 10,000`; of rank 1, `none of 120`."""
    return f"none of {found.images:,}" if found.rank == 1 else f"fewer than {found.rank:,} of {found.images:,}"


def outside_of(judged: Sequence[Judged]) -> np.ndarray:
    """Which pictures are outside the domain: bool [n]; one whose domain is unknown is not."""
    return np.array([one.domain == "outside" for one in judged], dtype=bool)

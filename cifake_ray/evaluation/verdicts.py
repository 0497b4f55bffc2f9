"""Verdicts on labelled pictures, counted: by class, at one alpha or several."""

from collections.abc import Iterator, Sequence

import numpy as np

from cifake_ray.data import Part
from cifake_ray.data.groups import in_groups
from cifake_ray.data.streaming import stream_squares
from cifake_ray.data.transform import Transform
from cifake_ray.detector.domain import Judged, judge_domain
from cifake_ray.detector.verdict import ALPHA, VERDICTS, Rule, outside_of
from cifake_ray.experiment import Data
from cifake_ray.runs.records import ClassVerdicts, Decision, Domain, VerdictRow, VerdictSet

ALPHAS = (0.001, 0.002, 0.005, ALPHA, 0.02, 0.05, 0.1)  # of a curve of risk and coverage


def judge_part(domain: Domain | None, part: Part, transform: Transform) -> list[Judged]:
    """Each picture of the part against what the model knows; sizes count as delivered. Decodes packed pictures."""
    sizes = part.table.sizes
    if domain is None:
        return judge_domain(None, np.empty(0), sizes.tolist())
    found: list[Judged] = [Judged("unknown")] * len(part)
    for rows, squares in stream_squares(part, transform):
        found[rows] = judge_domain(domain, squares, sizes[rows].tolist())
    return found


def verdict_rows(
    decision: Decision, labels: np.ndarray, logits: np.ndarray, outside: np.ndarray, alphas: Sequence[float] = ALPHAS
) -> list[VerdictRow]:
    """A row for each alpha, ascending. labels: uint8 [n]; logits: float [n] of FAKE; outside: bool [n]."""
    return [_row(Rule(decision, alpha), labels, logits, outside) for alpha in sorted(set(alphas))]


def _row(rule: Rule, labels: np.ndarray, logits: np.ndarray, outside: np.ndarray) -> VerdictRow:
    codes, excluded = rule.verdicts(logits, outside), rule.excluded(logits)
    counted = []
    for label, limit in enumerate(rule.limits):
        chosen = labels == label
        fake, real, unsure = np.bincount(codes[chosen], minlength=len(VERDICTS)).tolist()
        counted.append(
            ClassVerdicts(
                images=int(chosen.sum()),
                fake=fake,
                real=real,
                unsure=unsure,
                outside=int(outside[chosen].sum()),
                excluded=int(excluded[chosen, label].sum()),
                rank=limit.rank if limit else 0,
                calibrated=(rule.decision.fake, rule.decision.real)[label].images,
            )
        )
    return VerdictRow(alpha=rule.alpha, fake=counted[0], real=counted[1])


def sets_of_test(
    decision: Decision, part: Part, logits: np.ndarray, judged: Sequence[Judged], rows: np.ndarray,
    data: Data, alphas: Sequence[float] = ALPHAS,
) -> list[VerdictSet]:  # fmt: skip
    """The sets of a run's own test part at these rows, bool [n]: drawn as validation was, and left out of training.

    Where generators of their own validate, no set is drawn as validation was.
    """
    outside = outside_of(judged)
    return [
        VerdictSet(
            name=name,
            like_calibration=alike,
            rows=verdict_rows(decision, part.labels[chosen], logits[chosen], outside[chosen], alphas),
        )
        for name, alike, chosen in _sets(part, rows, data)
        if chosen.any()
    ]


def _sets(part: Part, rows: np.ndarray, data: Data) -> Iterator[tuple[str, bool, np.ndarray]]:
    unseen = in_groups(part.table, data.leave_out) & rows
    yield "test part", data.validation == "same", rows & ~unseen
    names = [value for values in data.leave_out.values() for value in values]
    yield f"left out of training: {', '.join(names)}", False, unseen

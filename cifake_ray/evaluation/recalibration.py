"""A decision fitted on pictures of the user's own instead of validation, and what that changes."""

from dataclasses import dataclass
from pathlib import PurePath

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part, copies_among
from cifake_ray.data.transform import RESIZED
from cifake_ray.detector.domain import count_domain
from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import NOTE_FILE, read_model_note
from cifake_ray.detector.verdict import Rule, decide, outside_of
from cifake_ray.errors import InputError
from cifake_ray.evaluation.calibration import describe_pictures
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.evaluation.verdicts import ALPHAS, judge_part, verdict_rows
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import Decision, Domain, Probabilities, Recalibration
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run
from cifake_ray.stats.calibration import expected_calibration_error, log_loss


@dataclass(frozen=True)
class Refit:
    """A decision and a domain that follow from other pictures; left_out: pictures that would have been judged twice."""

    data: str
    decision: Decision
    domain: Domain
    images: dict[str, int]
    left_out: int


def refit(run: Run, detector: Detector, source: str, judged: Part) -> Refit:
    """The decision and the domain by the labelled pictures at `source`, without copies of train and judged pictures.

    Raises InputError when the pictures cannot be read, or a class has none left.
    """
    found = images_to_score(run, source, detector.transform)
    copies = found.copies() | copies_among(found.part, judged)
    rows = np.flatnonzero(~copies)
    part = found.part.take(rows)
    images = {label: int((part.labels == code).sum()) for code, label in enumerate(LABELS)}
    for label, count in images.items():
        if not count:
            left = f" that is no copy of a train picture or of one in --data ({int(copies.sum())} are)"
            raise InputError(
                f"--calibrate-on {source}: no {label} picture{left if copies.any() else ''}",
                "give pictures of both classes that are in neither",
            )
    with progress("judging the calibration pictures") as update:
        logits = detector.logits_of_part(found.part, update, rows)
    other = found.other or found.own
    assert other is not None  # one of them was read
    return Refit(
        data=source,
        decision=decide(part.labels, logits, f"pictures of the user's own ({PurePath(source).name or source})"),
        domain=describe_pictures(part, detector.transform, resized=RESIZED in other.converted),
        images=images,
        left_out=int(copies.sum()),
    )


def compared(
    refitted: Refit, detector: Detector, part: Part, logits: np.ndarray, before: Decision | None, alpha: float
) -> Recalibration:
    """What the refitted decision gives on these pictures, and how far its probabilities hold, beside those before."""
    judged = judge_part(refitted.domain, part, detector.transform)
    both = len(np.unique(part.labels)) > 1
    return Recalibration(
        data=refitted.data,
        alpha=alpha,
        images=refitted.images,
        left_out=refitted.left_out,
        decision=refitted.decision,
        domain=count_domain(judged),
        verdicts=verdict_rows(refitted.decision, part.labels, logits, outside_of(judged), (*ALPHAS, alpha)),
        before=held(before, part.labels, logits) if before is not None and both else None,
        after=held(refitted.decision, part.labels, logits) if both else None,
    )


def held(decision: Decision, labels: np.ndarray, logits: np.ndarray) -> Probabilities:
    """How far calibrated probabilities hold on pictures of both classes, at the share of FAKE that these have."""
    p_fake = Rule(decision, prior=float((labels == 0).mean())).probabilities(logits)
    return Probabilities(ece=expected_calibration_error(labels, p_fake), log_loss=log_loss(labels, p_fake))


def keep_refit(run: Run, refitted: Refit) -> None:
    """Give best/ this decision and domain, by the run's writer; verdicts of the decision before are removed."""
    note = read_model_note(run)
    note.decision, note.domain = refitted.decision, refitted.domain
    write_record(run.best / NOTE_FILE, note)
    run.remove(run.verdicts_file.name)

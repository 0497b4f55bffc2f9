"""How a run's best model does on degraded test images, on subjects it never saw, and on images from elsewhere."""

from collections.abc import Sequence

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part, of_subjects
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.data.streaming import stream_squares
from cifake_ray.detector.decision import NOTE, scores
from cifake_ray.detector.domain import judge_domain
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector, uncalibrated, use_all_cores
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.verdict import ALPHA, outside_of
from cifake_ray.errors import InputError
from cifake_ray.evaluation.corruptions import corruptions
from cifake_ray.evaluation.evaluate import note_evaluation
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.evaluation.verdicts import verdict_rows
from cifake_ray.runs.records import SCHEMA, Domain, Evaluation, ModelNote, Robustness, RobustnessRow
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run

Kind = tuple[str, float | None, str]  # kind, strength and name of a row


def measure_robustness(run: Run, source: str | None = None, limit: int | None = None) -> Robustness:
    """Score `best/` on test images as they are and degraded, without copies of train images; written into the run.

    source: other labelled images instead of the run's own (then into `evaluations/<name>.json`, under `robustness`).
    limit: a stratified subset of so many test images. Raises InputError as `evaluate_run` does.
    """
    use_all_cores()
    with run.update():
        detector = load_detector(run)
        found = images_to_score(run, source)
        part = _fresh(found.part, found.copies(), limit)
        left_out = run.experiment().data.leave_out
        result = Robustness(
            schema_version=SCHEMA,
            data=found.own.source if found.own is not None and found.other is None else source,
            test_images=len(part),
            threshold=NOTE,
            copies_looked_for=found.own is not None,
            weights=detector.weights_label,
            left_out=list(left_out),
            rows=_measure(detector, part, left_out, read_model_note(run)),
        )
        if source is None or found.other is None:
            write_record(run.robustness_file, result)
        else:
            note_evaluation(run, source, Evaluation(robustness=result))
    return result


def _fresh(part: Part, copies: np.ndarray, limit: int | None) -> Part:
    """The images that are no copies of train images, or a stratified subset of them."""
    fresh = np.flatnonzero(~copies)
    if not len(fresh):
        raise InputError("every image equals a train image, so none is left to test on", "give others")
    table = part.table.take(fresh)
    return part.take(fresh[choose_stratified(table.labels, table.groups, limit or len(fresh))])


def _measure(detector: Detector, part: Part, left_out: Sequence[str], note: ModelNote) -> list[RobustnessRow]:
    predicted = _predictions(detector, part, note.domain)
    rows = [_row(kind, part.labels, uncalibrated(logits)) for kind, logits, _ in predicted]
    if note.decision is not None:
        for row, (_, logits, outside) in zip(rows, predicted, strict=True):
            row.verdicts = verdict_rows(note.decision, part.labels, logits, outside, (ALPHA,))
    if left_out and "subject" in part.table.groups:  # pictures from elsewhere have no subjects
        rows += _by_subject(part, uncalibrated(predicted[0][1]), left_out)
    return rows


def _by_subject(part: Part, p_fake: np.ndarray, left_out: Sequence[str]) -> list[RobustnessRow]:
    """Images as they are, of subjects that were left out of training, and of the others."""
    unseen = of_subjects(part, left_out)
    groups = (("left out", f"left out of training: {', '.join(left_out)}", unseen), ("seen", "other subjects", ~unseen))
    return [_row((kind, None, name), part.labels[which], p_fake[which]) for kind, name, which in groups if which.any()]


def _row(kind: Kind, labels: np.ndarray, p_fake: np.ndarray) -> RobustnessRow:
    name, strength, shown = kind
    return RobustnessRow(kind=name, strength=strength, name=shown, **dict(scores(labels, p_fake)))


Predictions = list[tuple[Kind, np.ndarray, np.ndarray]]


def _predictions(detector: Detector, part: Part, domain: Domain | None) -> Predictions:
    """Logits of the pictures as they are and degraded, and which of these squares are outside the domain.

    Each member of a blend judges the pictures in its own squares; those of the first are compared with the domain.
    """
    (member, share), *others = detector.members
    found = [(kind, share * logits, outside) for kind, logits, outside in _judge(member, part, domain)]
    for member, share in others:
        for (_, logits, _), (_, more, _) in zip(found, _judge(member, part, None), strict=True):
            logits += share * more
    return found


def _judge(detector: Detector, part: Part, domain: Domain | None) -> Predictions:
    """As `_predictions`, of one detector.

    Each picture is decoded once, and only a batch is in memory.
    """
    degradations, sizes = corruptions(detector.transform.side), part.table.sizes
    kinds: list[Kind] = [("clean", None, "as they are"), *((one.kind, one.strength, one.name) for one in degradations)]
    found = [(kind, np.empty(len(part)), np.zeros(len(part), bool)) for kind in kinds]
    with progress("degraded test images") as update:
        update(done := 0, total := len(kinds) * len(part))
        for rows, squares in stream_squares(part, detector.transform):
            for (_, logits, outside), degrade in zip(found, (None, *degradations), strict=True):
                seen = degrade(squares, rows.start) if degrade else squares
                logits[rows] = detector.logits(seen)
                outside[rows] = outside_of(judge_domain(domain, seen, sizes[rows].tolist()))
                update(done := done + len(squares), total)
    return found

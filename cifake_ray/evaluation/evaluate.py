"""A run's best model on its own test images again, or on other labelled ones, which are noted in the run."""

import hashlib
import re
from pathlib import PurePath

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data.groups import values_of
from cifake_ray.data.images import counts, remarks
from cifake_ray.data.sources.reading import Reading
from cifake_ray.data.streaming import seen_conversions
from cifake_ray.data.transform import Transform
from cifake_ray.detector.decision import NOTE, only_answer, scores
from cifake_ray.detector.domain import count_domain
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector, uncalibrated, use_all_cores
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.verdict import ALPHA, check_rule, outside_of
from cifake_ray.errors import InputError
from cifake_ray.evaluation.groups import group_rows
from cifake_ray.evaluation.metrics import METHOD, score_seeds
from cifake_ray.evaluation.own_images import Scored, images_to_score
from cifake_ray.evaluation.recalibration import Refit, compared, keep_refit, refit
from cifake_ray.evaluation.verdicts import ALPHAS, judge_part, verdict_rows
from cifake_ray.runs.records import SCHEMA, Evaluation, LeftOut, ModelNote, Recalibration, Scores, Skipped, TakenNote
from cifake_ray.runs.records.store import read_record, write_record
from cifake_ray.runs.run import Run
from cifake_ray.stats.classification import constant_accuracy


def evaluate_run(
    run: Run, source: str | None = None, reading: Reading | None = None, by: str | None = None, *,
    alpha: float = ALPHA, calibrate_on: str | None = None, keep: bool = False,
) -> Evaluation:  # fmt: skip
    """Score `best/` on the test part of its own images (nothing is written), or on other labelled images.

    `reading`: how to read the other images, whose scores are written to `evaluations/<name>.json`. Copies of the images
    that the model was trained on are left out of `test_dedup` and verdicts, where the run's own images are here to be
    compared. `by`: a group column, such as `generator`, whose groups are scored apart. alpha: of the verdicts.
    calibrate_on: labelled pictures by which a decision is fitted and compared with that of best/; with `keep` best/
    gets it. Raises InputError when the images, the weights or the model cannot be found, or alpha is none.
    """
    check_rule(alpha)
    use_all_cores()
    detector, note = load_detector(run), read_model_note(run)
    found = images_to_score(run, source, detector.transform, reading)
    if by is not None:
        values_of(found.part.table, by, f"--by {by}")  # refused before the pictures are judged
    if calibrate_on is not None and found.other is None:
        raise InputError("--calibrate-on refits for pictures that are not the run's own", "name these by --data")
    refitted = refit(run, detector, calibrate_on, found.part) if calibrate_on is not None else None
    with progress("judging images") as update:
        logits = detector.logits_of_part(found.part, update)
    result = _about(found, detector.transform).updated(_judged(run, note, detector, found, logits, alpha))
    if by is not None:
        fresh = ~found.copies()
        result.groups = group_rows(found.part.table.take(np.flatnonzero(fresh)), uncalibrated(logits)[fresh], by)
    if refitted is not None:
        result.recalibration = _recalibrated(refitted, note, detector, found, logits, alpha, kept=keep)
    if source is None or found.other is None:
        return result
    with run.update():
        note_evaluation(run, source, result)
        if refitted is not None and keep:
            keep_refit(run, refitted)
    return result


def _judged(
    run: Run, note: ModelNote, detector: Detector, found: Scored, logits: np.ndarray, alpha: float
) -> Evaluation:  # fmt: skip
    """The scores and verdicts of the images."""
    p_fake, labels, fresh = uncalibrated(logits), found.part.labels, ~found.copies()
    result = Evaluation(
        run=run.where,
        alpha=alpha,
        test_images=len(p_fake),
        constant_accuracy=constant_accuracy(labels),
        only_answer=only_answer(p_fake),
        test=_scored(labels, p_fake),
        test_dedup=_scored(labels[fresh], p_fake[fresh]),
        duplicates_removed=int((~fresh).sum()),
        copies_looked_for=found.own is not None,
        weights=detector.weights_label,
        method=METHOD,
    )
    if found.other is None and note.decision is None:
        return result
    judged = judge_part(note.domain, found.part, detector.transform)
    if found.other is not None:
        result.domain = count_domain(judged)
        result.threshold, result.at_threshold = NOTE, scores(labels[fresh], p_fake[fresh])
    if note.decision is not None:
        outside = outside_of(judged)[fresh]
        result.verdicts = verdict_rows(note.decision, labels[fresh], logits[fresh], outside, (*ALPHAS, alpha))
    return result


def _recalibrated(
    refitted: Refit, note: ModelNote, detector: Detector, found: Scored, logits: np.ndarray, alpha: float, *, kept: bool
) -> Recalibration:
    fresh = np.flatnonzero(~found.copies())
    result = compared(refitted, detector, found.part.take(fresh), logits[fresh], note.decision, alpha)
    result.kept = kept
    return result


def _scored(labels: np.ndarray, p_fake: np.ndarray) -> Scores:
    """All scores; of images of one class the accuracy alone, which is the share that is judged rightly."""
    found = score_seeds(labels, [p_fake])[1]
    return found if len(np.unique(labels)) > 1 else Scores(accuracy=found.accuracy)


def _about(found: Scored, transform: Transform) -> Evaluation:
    """The part of the record about the images: which they are, what was converted for the transform, what was left."""
    images = found.other or found.own
    assert images is not None  # one of them was scored
    part = found.other.part if found.other is not None else "test"
    seen = seen_conversions(found.part, transform)
    said = f"seen as {transform.words}: {', '.join(f'{count:,} {what}' for what, count in seen.items())}"
    return Evaluation(
        data=images.source,
        part=part,
        generated=images.card.generated,
        converted={**images.converted, **seen},
        taken=[TakenNote.parse(taken.as_note()) for taken in images.taken if taken.part == part],
        skipped=[Skipped(name=skipped.name, reason=skipped.reason) for skipped in images.skipped],
        left=[LeftOut.parse(left.as_note()) for left in images.left],
        summary="; ".join([_scored_images(found), *([said] if seen else [])]),
    )


def _scored_images(found: Scored) -> str:
    """The images in one line: which part, how many of each class, remarks."""
    if found.other is not None:
        return found.other.summary()
    assert found.own is not None  # one of them was scored
    return "; ".join([f"{found.own.source}: test part, {counts(found.part.labels)}", *remarks(found.own)])


def note_evaluation(run: Run, source: str, result: Evaluation) -> None:
    """Write `result` into the run's record of this source, other keys kept; called by the run's writer."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(source).name).strip("-.") or "images"
    run.evaluations.mkdir(exist_ok=True)
    file = run.evaluations / f"{name}.json"
    if read_record(run, file, Evaluation).data not in (None, source):  # another folder of that name
        file = run.evaluations / f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:6]}.json"
    noted = read_record(run, file, Evaluation)
    write_record(file, noted.updated(Evaluation(schema_version=SCHEMA, data=source)).updated(result))

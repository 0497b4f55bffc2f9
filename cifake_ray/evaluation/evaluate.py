"""A run's best model on its own test images again, or on other labelled ones, which are noted in the run."""

import hashlib
import re
from pathlib import PurePath

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part
from cifake_ray.data.images import counts, remarks
from cifake_ray.data.sources.reading import Reading
from cifake_ray.data.streaming import seen_conversions, stream_squares
from cifake_ray.data.transform import Transform
from cifake_ray.detector.decision import NOTE, only_answer, scores
from cifake_ray.detector.domain import count_domain, judge_domain
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import use_all_cores
from cifake_ray.detector.note import read_model_note
from cifake_ray.evaluation.metrics import METHOD, score_seeds
from cifake_ray.evaluation.own_images import Scored, images_to_score
from cifake_ray.runs.records import SCHEMA, DomainCounts, Evaluation, LeftOut, Scores, Skipped, TakenNote
from cifake_ray.runs.records.store import read_record, write_record
from cifake_ray.runs.run import Run
from cifake_ray.stats.classification import constant_accuracy


def evaluate_run(run: Run, source: str | None = None, reading: Reading | None = None) -> Evaluation:
    """Score `best/` on the test part of its own images (nothing is written), or on other labelled images.

    `reading`: how to read the other images, whose scores are written to `evaluations/<name>.json`. Copies of the images
    that the model was trained on are left out of `test_dedup`, where the run's own images are here to be compared.
    Raises InputError when the images, the weights or the model cannot be found.
    """
    use_all_cores()
    detector = load_detector(run)
    found = images_to_score(run, source, reading)
    with progress("judging images") as update:
        p_fake = detector.p_fake_of_part(found.part, update)
    labels, fresh = found.part.labels, ~found.copies()
    result = _about(found, detector.transform).updated(
        Evaluation(
            run=run.where,
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
    )
    if source is None or found.other is None:
        return result
    result.domain = _domain(run, found.part, detector.transform)
    result.threshold, result.at_threshold = NOTE, scores(labels[fresh], p_fake[fresh])
    with run.update():
        note_evaluation(run, source, result)
    return result


def _scored(labels: np.ndarray, p_fake: np.ndarray) -> Scores:
    """All scores; of images of one class the accuracy alone, which is the share that is judged rightly."""
    found = score_seeds(labels, [p_fake])[1]
    return found if len(np.unique(labels)) > 1 else Scores(accuracy=found.accuracy)


def _domain(run: Run, part: Part, transform: Transform) -> DomainCounts:
    """How many of other images are unlike those that the model was validated on; their sizes count as delivered."""
    known, sizes = read_model_note(run).domain, part.table.sizes
    if known is None:
        return count_domain(judge_domain(None, np.empty(0), sizes.tolist()))
    batches = stream_squares(part, transform)
    return count_domain(one for rows, seen in batches for one in judge_domain(known, seen, sizes[rows].tolist()))


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

"""How a run's best model does on degraded test images, on subjects it never saw, and on images from elsewhere."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part, of_subjects
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.detector.decision import NOTE, scores
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import use_all_cores
from cifake_ray.errors import InputError
from cifake_ray.evaluation.corruptions import CORRUPTIONS
from cifake_ray.evaluation.evaluate import note_evaluation
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.runs.records import SCHEMA, Evaluation, Robustness, RobustnessRow
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run

Predict = Callable[[np.ndarray], np.ndarray]  # uint8 [n, h, w, 3] -> probability of FAKE, float [n]
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
            rows=_measure(detector.p_fake, part, left_out),
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


def _measure(predict: Predict, part: Part, left_out: Sequence[str]) -> list[RobustnessRow]:
    rows: list[RobustnessRow] = []
    subjects: list[RobustnessRow] = []
    total = (1 + len(CORRUPTIONS)) * len(part)
    with progress("degraded test images") as update:
        update(0, total)
        for kind, p_fake in _predictions(predict, part.images):
            rows.append(_row(kind, part.labels, p_fake))
            if not subjects and left_out and "subject" in part.table.groups:  # pictures from elsewhere have no subjects
                subjects = _by_subject(part, p_fake, left_out)
            update(len(rows) * len(part), total)
    return rows + subjects


def _by_subject(part: Part, p_fake: np.ndarray, left_out: Sequence[str]) -> list[RobustnessRow]:
    """Images as they are, of subjects that were left out of training, and of the others."""
    unseen = of_subjects(part, left_out)
    groups = (("left out", f"left out of training: {', '.join(left_out)}", unseen), ("seen", "other subjects", ~unseen))
    return [_row((kind, None, name), part.labels[which], p_fake[which]) for kind, name, which in groups if which.any()]


def _row(kind: Kind, labels: np.ndarray, p_fake: np.ndarray) -> RobustnessRow:
    name, strength, shown = kind
    return RobustnessRow(kind=name, strength=strength, name=shown, **dict(scores(labels, p_fake)))


def _predictions(predict: Predict, images: np.ndarray) -> Iterator[tuple[Kind, np.ndarray]]:
    yield ("clean", None, "as they are"), predict(images)
    for corruption in CORRUPTIONS:
        yield (corruption.kind, corruption.strength, corruption.name), predict(corruption(images))

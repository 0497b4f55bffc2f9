"""How a run's best model does on degraded test images, on groups it never saw, and on images from elsewhere."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part
from cifake_ray.data.corruptions import corruptions
from cifake_ray.data.groups import in_groups
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.data.streaming import stream_squares
from cifake_ray.detector.decision import NOTE, scores
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector, use_all_cores
from cifake_ray.errors import InputError
from cifake_ray.evaluation.delivery import p_fake_on_tiers
from cifake_ray.evaluation.evaluate import note_evaluation
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.runs.records import SCHEMA, TIER, Evaluation, Robustness, RobustnessRow
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
            left_out=[value for values in left_out.values() for value in values],
            rows=_measure(detector, part, left_out),
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


def _measure(detector: Detector, part: Part, left_out: Mapping[str, Sequence[str]]) -> list[RobustnessRow]:
    predicted = _predictions(detector, part)
    predicted += [((TIER, tier.quality, tier.words), p_fake) for tier, p_fake in p_fake_on_tiers(detector, part)]
    rows = [_row(kind, part.labels, p_fake) for kind, p_fake in predicted]
    return [*rows, *_left_out_apart(part, predicted[0][1], left_out)]


def _left_out_apart(
    part: Part, p_fake: np.ndarray, left_out: Mapping[str, Sequence[str]]
) -> Iterator[RobustnessRow]:  # fmt: skip
    """Images as they are, of groups that were left out of training, and of the others, by each group column.

    Pictures from elsewhere may lack the column, and are all images of other groups then.
    """
    for column, values in left_out.items():
        unseen = in_groups(part.table, {column: values})
        if column in part.table.groups:
            for kind, name, which in (
                ("left out", f"left out of training: {', '.join(values)}", unseen),
                ("seen", f"other {column}s", ~unseen),
            ):
                if which.any():
                    yield _row((kind, None, name), part.labels[which], p_fake[which])


def _row(kind: Kind, labels: np.ndarray, p_fake: np.ndarray) -> RobustnessRow:
    name, strength, shown = kind
    return RobustnessRow(kind=name, strength=strength, name=shown, **dict(scores(labels, p_fake)))


def _predictions(detector: Detector, part: Part) -> list[tuple[Kind, np.ndarray]]:
    """The answers to the pictures as they are and degraded. Each is decoded once, and only a batch is in memory."""
    degradations = corruptions(detector.transform.side)
    kinds: list[Kind] = [("clean", None, "as they are"), *((one.kind, one.strength, one.name) for one in degradations)]
    found = [np.empty(len(part), np.float32) for _ in kinds]
    with progress("degraded test images") as update:
        update(done := 0, total := len(kinds) * len(part))
        for rows, squares in stream_squares(part, detector.transform):
            for p_fake, degrade in zip(found, (None, *degradations), strict=True):
                p_fake[rows] = detector.p_fake(degrade(squares, rows.start) if degrade else squares)
                update(done := done + len(squares), total)
    return list(zip(kinds, found, strict=True))

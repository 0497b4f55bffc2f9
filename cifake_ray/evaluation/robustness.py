"""How a run's best model does on degraded test images, on groups it never saw, and on images from elsewhere."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from cifake_ray.console import Progress, progress
from cifake_ray.data import Part
from cifake_ray.data.corruptions import corruptions
from cifake_ray.data.groups import in_groups
from cifake_ray.data.stratify import choose_stratified
from cifake_ray.data.streaming import stream_squares
from cifake_ray.detector.decision import NOTE, scores
from cifake_ray.detector.domain import judge_domain
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector, uncalibrated, use_all_cores
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.verdict import ALPHA, outside_of
from cifake_ray.errors import InputError
from cifake_ray.evaluation.delivery import judge_on_tiers
from cifake_ray.evaluation.evaluate import note_evaluation
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.evaluation.verdicts import verdict_rows
from cifake_ray.runs.records import SCHEMA, TIER, Domain, Evaluation, ModelNote, Robustness, RobustnessRow
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run

Kind = tuple[str, float | None, str]  # kind, strength and name of a row
Degraded = Callable[[int, slice, np.ndarray], np.ndarray]  # number of the kind, rows of squares, and the squares


def measure_robustness(run: Run, source: str | None = None, limit: int | None = None) -> Robustness:
    """Score `best/` on test images as they are and degraded, without copies of train images; written into the run.

    source: other labelled images instead of the run's own (then into `evaluations/<name>.json`, under `robustness`).
    limit: a stratified subset of so many test images. Raises InputError as `evaluate_run` does.
    """
    use_all_cores()
    with run.update():
        detector = load_detector(run)
        found = images_to_score(run, source, detector.transform)
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


def _measure(
    detector: Detector, part: Part, left_out: Mapping[str, Sequence[str]], note: ModelNote
) -> list[RobustnessRow]:
    predicted = _predictions(detector, part, note.domain)
    rows = [_row(kind, part.labels, uncalibrated(logits)) for kind, logits, _ in predicted]
    if note.decision is not None:
        for row, (_, logits, outside) in zip(rows, predicted, strict=True):
            row.verdicts = verdict_rows(note.decision, part.labels, logits, outside, (ALPHA,))
    return [*rows, *_left_out_apart(part, uncalibrated(predicted[0][1]), left_out)]


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
    """As `_predictions`, of one detector; only a batch is in memory.

    Of a set that is held in one small size each kind is judged in order, in the batches of one array of all, because
    the last digits depend on the batch. Packed pictures are decoded once for all kinds, and judged in fixed groups.
    """
    degradations = corruptions(detector.transform.side)
    kinds: list[Kind] = [("clean", None, "as they are"), *((one.kind, one.strength, one.name) for one in degradations)]
    outside = [np.zeros(len(part), bool) for _ in kinds]
    sizes = part.table.sizes

    def degraded(number: int, rows: slice, squares: np.ndarray) -> np.ndarray:
        seen = degradations[number - 1](squares, rows.start) if number else squares
        outside[number][rows] = outside_of(judge_domain(domain, seen, sizes[rows].tolist()))
        return seen

    with progress("degraded test images") as update:
        each = _in_groups if part.side is None else _in_order
        found = each(detector, part, len(kinds), degraded, update)
    tiers = judge_on_tiers(detector, part, domain)
    return [
        *zip(kinds, found, outside, strict=True),
        *(((TIER, tier.quality, tier.words), logits, unlike) for tier, logits, unlike in tiers),
    ]


def _in_groups(
    detector: Detector, part: Part, kinds: int, degraded: Degraded, update: Progress
) -> list[np.ndarray]:  # fmt: skip
    found = [np.empty(len(part)) for _ in range(kinds)]
    update(done := 0, total := kinds * len(part))
    for rows, squares in stream_squares(part, detector.transform):
        for number, logits in enumerate(found):
            logits[rows] = detector.logits(degraded(number, rows, squares))
            update(done := done + len(squares), total)
    return found


def _in_order(
    detector: Detector, part: Part, kinds: int, degraded: Degraded, update: Progress
) -> list[np.ndarray]:  # fmt: skip
    def of_kind(number: int) -> Iterator[np.ndarray]:
        for rows, squares in stream_squares(part, detector.transform):
            yield degraded(number, rows, squares)
            update(number * len(part) + rows.stop, kinds * len(part))

    return [detector.logits_in_order(of_kind(number)) for number in range(kinds)]

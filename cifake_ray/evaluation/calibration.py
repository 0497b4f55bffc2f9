"""What a model's verdicts follow from: its validation pictures, and what the rule then gives on the test part."""

from collections.abc import Sequence

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import ImageSet, Part, run_images, study_split, train_duplicates
from cifake_ray.data.streaming import stream_squares
from cifake_ray.data.transform import RESIZED, Transform
from cifake_ray.detector.domain import describe_domain, properties
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import use_all_cores
from cifake_ray.detector.note import NOTE_FILE, read_model_note
from cifake_ray.detector.verdict import ALPHA, check_rule, decide
from cifake_ray.evaluation.verdicts import ALPHAS, judge_part, sets_of_test
from cifake_ray.experiment import Experiment
from cifake_ray.runs.predictions import ValidationLogits
from cifake_ray.runs.records import SCHEMA, Decision, Domain, Verdicts
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run


def held_out_rows(experiment: Experiment, images: ImageSet) -> np.ndarray:
    """The rows of the train part that validate, the same for every study of these images: int64 [n]."""
    return study_split(images.train, experiment.data).validation


def validation_of(part: Part) -> ValidationLogits:
    """The columns of val_predictions.npz for these pictures, before any logit."""
    table = part.table
    groups = {name: np.array(table.group_values(name), np.str_)[codes] for name, codes in table.groups.items()}
    return ValidationLogits(part.labels, table.names, groups, {})


def describe_pictures(part: Part, transform: Transform, *, resized: bool = False) -> Domain:
    """What these pictures are like, for `predict`; the size counts if all were delivered in one.

    resized: whether decoding brought some of the pictures to another size, so that the table has not the one delivered.
    """
    values = np.concatenate([properties(squares) for _, squares in stream_squares(part, transform)])
    (width, height), *others = np.unique(part.table.sizes, axis=0).tolist()
    return describe_domain(values, (width, height) if not others and not resized else None)


def domain_of(experiment: Experiment, images: ImageSet, transform: Transform) -> Domain:
    """What the validation pictures of a study are like."""
    held_out = images.train.take(held_out_rows(experiment, images))
    return describe_pictures(held_out, transform, resized=RESIZED in images.converted)


def verdicts_on_test(
    experiment: Experiment, images: ImageSet, transform: Transform, decision: Decision, domain: Domain,
    logits: np.ndarray, alphas: Sequence[float] = ALPHAS,
) -> Verdicts:  # fmt: skip
    """What the rule gives on the test part without copies of train images. logits: float [n] of the whole test part."""
    judged, fresh = judge_part(domain, images.test, transform), ~train_duplicates(images)
    sets = sets_of_test(decision, images.test, logits, judged, fresh, experiment.data, alphas)
    return Verdicts(schema_version=SCHEMA, calibrated_on=decision.calibrated_on, sets=sets)


def calibrate_run(run: Run, source: str | None = None, alpha: float = ALPHA) -> tuple[Decision, Verdicts]:
    """Give the model in best/ the decision and the domain that follow from its own validation pictures; write
    model.json and verdicts.json.

    For a run of an earlier version, and to undo a decision on other pictures. source: where the run's own images are
    now. alpha: of a row of verdicts, beside the usual ones. Raises InputError when images, weights or the model cannot
    be found, or alpha is none.
    """
    check_rule(alpha)
    use_all_cores()
    with run.update():
        detector, note, experiment = load_detector(run), read_model_note(run), run.experiment()
        images = run_images(run, experiment, source)
        rows = held_out_rows(experiment, images)
        with progress("judging the validation pictures") as update:
            held_out = detector.logits_of_part(images.train, update, rows)
        with progress("judging the test part") as update:
            logits = detector.logits_of_part(images.test, update)
        decision = decide(images.train.labels[rows], held_out)
        domain = domain_of(experiment, images, detector.transform)
        alphas = (*ALPHAS, alpha)
        found = verdicts_on_test(experiment, images, detector.transform, decision, domain, logits, alphas)
        note.decision, note.domain = decision, domain
        write_record(run.verdicts_file, found)
        write_record(run.best / NOTE_FILE, note)
    return decision, found

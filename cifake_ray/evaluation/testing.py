"""The final test: the test part, scored once for each retrained model; the median winner becomes `best/`."""

import itertools
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from cifake_ray.console import progress, warn
from cifake_ray.data import ImageSet, run_images, train_duplicates
from cifake_ray.data.transform import model_transform
from cifake_ray.detector.load import (
    describe_detector,
    detector_from_checkpoint,
    load_detector,
    parameter_counts,
    save_detector,
)
from cifake_ray.detector.module import Detector, uncalibrated, use_all_cores
from cifake_ray.detector.verdict import decide
from cifake_ray.errors import InputError
from cifake_ray.evaluation.calibration import domain_of, held_out_rows, validation_of, verdicts_on_test
from cifake_ray.evaluation.metrics import METHOD, score_seeds
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import POSITIVE
from cifake_ray.runs.faults import storage_faults_interrupt
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.predictions import ValidationLogits, packed, validation_fault, write_validation
from cifake_ray.runs.records import SCHEMA, Mean, Seed, Verdicts, Winner, Winners
from cifake_ray.runs.records.store import read_tested, read_winners, write_record
from cifake_ray.runs.run import Run
from cifake_ray.runs.trust import run_experiment
from cifake_ray.stats.classification import accuracy
from cifake_ray.training.checkpoint import BEST


@dataclass(frozen=True)
class _Scored:
    """One role's detectors, seed by seed, with their logits, float64, of the test part and of validation pictures."""

    detectors: list[Detector]
    logits: list[np.ndarray]
    held_out: list[np.ndarray]

    @property
    def p_fake(self) -> list[np.ndarray]:
        return [uncalibrated(logits) for logits in self.logits]


def score_winners(run: Run) -> None:
    """Score what `winners.json` lists on the test part; writes test.json, test_predictions.npz and best/, and beside
    these val_predictions.npz and verdicts.json.

    Does nothing when there is nothing new to score. Raises InputError when images or weights are missing.
    """
    if not run.winners_file.exists():
        return
    use_all_cores()
    experiment = run_experiment(run)
    with storage_faults_interrupt(run), run.update() as save:
        images = run_images(run, experiment)
        rows = held_out_rows(experiment, images)
        winners = read_winners(run).winners
        arrays = test_columns(images)
        validation, verdicts = validation_of(images.train.take(rows)), None
        for winner in winners:
            scored = _score_role(run, experiment, winner, images, rows)
            _describe(winner, scored, images.test.labels, ~arrays["duplicate"])
            for seed, p_fake, logits in zip(winner.seeds, scored.p_fake, scored.logits, strict=True):
                arrays[f"{winner.role}_{seed.seed}"] = p_fake
                arrays[f"logit_{winner.role}_{seed.seed}"] = logits.astype(np.float32)
            validation.logits[winner.role] = {
                seed.seed: logits.astype(np.float32) for seed, logits in zip(winner.seeds, scored.held_out, strict=True)
            }
            if winner.role == "tuned":
                verdicts = _keep_best(run, winner, scored, images, validation.labels)
        write_tested(run, winners, arrays, validation, verdicts)
        save()
        run.remove(run.winners_file.name)  # before its checkpoints, which it would name in vain if we died in between
        run.remove(run.winners.name)


def test_columns(images: ImageSet) -> dict[str, np.ndarray]:
    """The columns of test_predictions.npz before any prediction: labels, names, copies of train images, groups."""
    table = images.test.table
    arrays = {"labels": images.test.labels, "names": table.names, "duplicate": train_duplicates(images)}
    for column, codes in table.groups.items():
        counted = (codes + 1).astype(np.min_scalar_type(int(codes.max(initial=0)) + 1))
        arrays[column] = counted  # 1, 2, … as version 0.1 counted subjects
        if column != "subject":
            arrays[f"{column}_values"] = np.array(table.group_values(column), dtype=np.str_)
    return arrays


def results_fault(run: Run) -> str | None:
    """Why the results of a tested run cannot be used: its best model or a prediction is missing or damaged.

    None when they can be used. The backbone's weights must be here, or they count as missing.
    """
    try:
        load_detector(run)
    except InputError as error:
        return error.what
    try:
        with np.load(run.predictions_file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return f"{run.predictions_file}: missing or damaged"
    for winner in read_tested(run).winners:
        for seed in winner.seeds:
            if not _agree(arrays, f"{winner.role}_{seed.seed}", seed):
                return f"{run.predictions_file}: not the predictions behind {run.test_file.name}"
    return validation_fault(run)


def _agree(arrays: dict[str, np.ndarray], name: str, seed: Seed) -> bool:
    """Whether the accuracy in test.json is that of these predictions."""
    labels, p_fake = arrays.get("labels"), arrays.get(name)
    if labels is None or p_fake is None or "duplicate" not in arrays or len(labels) != len(p_fake):
        return False
    return abs(seed.test.accuracy.value - accuracy(labels, p_fake)) < 1e-9


def _score_role(run: Run, experiment: Experiment, winner: Winner, images: ImageSet, rows: np.ndarray) -> _Scored:
    """rows: of the train part, those that validate."""
    scored = _Scored([], [], [])
    for seed in winner.seeds:
        resolved = experiment.with_params(winner.params, seed=seed.seed)
        transform = model_transform(resolved.model, images.side)
        detector = detector_from_checkpoint(run.checkpoints(seed.folder).path / BEST, resolved, transform)
        which = f"{winner.role}, seed {seed.seed}"
        with progress(f"judging the test part ({which})") as update:
            scored.logits.append(detector.logits_of_part(images.test, update))
        with progress(f"judging the validation pictures ({which})") as update:
            scored.held_out.append(detector.logits_of_part(images.train, update, rows))
        scored.detectors.append(detector)
    return scored


def _describe(winner: Winner, scored: _Scored, labels: np.ndarray, fresh: np.ndarray) -> None:
    """Add scores (all test images, and those that no train image equals), parameters and weights to the entry."""
    if not scored.detectors:
        return
    each, mean = score_seeds(labels, scored.p_fake)
    each_fresh, mean_fresh = score_seeds(labels[fresh], [p_fake[fresh] for p_fake in scored.p_fake])
    for seed, test, test_dedup in zip(winner.seeds, each, each_fresh, strict=True):
        seed.test, seed.test_dedup = test, test_dedup
    detector = scored.detectors[0]
    winner.params_trained, winner.params_total = parameter_counts(detector)
    winner.weights = detector.weights_label
    winner.mean = Mean(
        train_accuracy=float(np.mean([seed.train_accuracy for seed in winner.seeds])),
        val_accuracy=float(np.mean([seed.val_accuracy for seed in winner.seeds])),
        test=mean,
        test_dedup=mean_fresh,
    )


def _keep_best(run: Run, winner: Winner, scored: _Scored, images: ImageSet, held_out: np.ndarray) -> Verdicts:
    """Make `best/` of the seed with the median validation accuracy (the lower one of an even number).

    held_out: labels of the validation pictures. Returns what the model's verdict rule gives on the test part.
    """
    order = sorted(range(len(winner.seeds)), key=lambda index: winner.seeds[index].val_accuracy)
    index = order[(len(order) - 1) // 2]
    seed, detector, experiment = winner.seeds[index], scored.detectors[index], run.experiment()
    _set_aside(run)
    note, transform = describe_detector(detector), detector.transform
    note.study, note.seed, note.epoch, note.val_accuracy = run.name, seed.seed, seed.best_epoch, seed.val_accuracy
    domain, decision = domain_of(experiment, images, transform), decide(held_out, scored.held_out[index])
    note.data_fingerprint, note.domain, note.decision = images.fingerprint, domain, decision
    save_detector(detector, run.best, note)
    return verdicts_on_test(experiment, images, transform, decision, domain, scored.logits[index])


def _set_aside(run: Run) -> None:
    """Keep what `evaluate` measured of the model before, where reports do not look for it, and say so."""
    measured = (run.threshold_file, run.robustness_file, run.evaluations, run.explanations)
    names = [file.relative_to(run.path).as_posix() for file in measured]
    folder = next(name for number in itertools.count(1) if not (run.path / (name := f"superseded/{number}")).exists())
    if moved := run.set_aside(names, folder):
        warn(
            f"the best model changed: what `evaluate` measured of the model before ({', '.join(moved)}) lies in "
            f"{run.path / folder} now; call `evaluate` again for the new one"
        )


def write_tested(
    run: Run, winners: list[Winner], arrays: dict[str, np.ndarray], validation: ValidationLogits,
    verdicts: Verdicts | None,
) -> None:  # fmt: skip
    """Write predictions first, and test.json last, which marks the test as done."""
    write_bytes(run.predictions_file, packed(arrays))
    digest = write_validation(run, validation)
    if verdicts is not None:
        write_record(run.verdicts_file, verdicts)
    for winner in winners:
        winner.seeds = [seed.without("folder") for seed in winner.seeds]
    test = Winners(
        schema_version=SCHEMA,
        positive_class=POSITIVE,
        method=METHOD,
        test_images=len(arrays["labels"]),
        duplicates_removed=int(arrays["duplicate"].sum()),
        validation_sha256=digest,
        winners=winners,
    )
    write_record(run.test_file, test)

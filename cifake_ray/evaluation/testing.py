"""The final test: the test part, scored once for each retrained model; the median winner becomes `best/`."""

import io
import itertools
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from cifake_ray.console import progress, warn
from cifake_ray.data import ImageSet, run_images, split_train, train_duplicates
from cifake_ray.data.streaming import stream_squares
from cifake_ray.data.transform import RESIZED, Transform, model_transform
from cifake_ray.detector.domain import describe_domain, properties
from cifake_ray.detector.load import (
    describe_detector,
    detector_from_checkpoint,
    load_detector,
    parameter_counts,
    save_detector,
)
from cifake_ray.detector.module import Detector, use_all_cores
from cifake_ray.errors import InputError
from cifake_ray.evaluation.metrics import METHOD, score_seeds
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import POSITIVE
from cifake_ray.runs.faults import storage_faults_interrupt
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.records import SCHEMA, Domain, Mean, Seed, Winner, Winners
from cifake_ray.runs.records.store import read_tested, read_winners, write_record
from cifake_ray.runs.run import Run, Save
from cifake_ray.stats.classification import accuracy
from cifake_ray.training.checkpoint import BEST


@dataclass(frozen=True)
class _Scored:
    """One role's detectors with their predictions on the test part, seed by seed."""

    detectors: list[Detector]
    p_fake: list[np.ndarray]


def score_winners(run: Run) -> None:
    """Score what `winners.json` lists on the test part; writes test.json, test_predictions.npz and best/.

    Does nothing when there is nothing new to score. Raises InputError when images or weights are missing.
    """
    if not run.winners_file.exists():
        return
    use_all_cores()
    experiment = run.experiment()
    with storage_faults_interrupt(run), run.update() as save:
        images = run_images(run, experiment)
        winners = read_winners(run).winners
        duplicate = train_duplicates(images)
        arrays = {"labels": images.test.labels, "names": images.test.table.names, "duplicate": duplicate}
        for column, codes in images.test.table.groups.items():
            counted = (codes + 1).astype(np.min_scalar_type(int(codes.max(initial=0)) + 1))
            arrays[column] = counted  # 1, 2, … as version 0.1 counted subjects
            if column != "subject":
                arrays[f"{column}_values"] = np.array(images.test.table.group_values(column), dtype=np.str_)
        for winner in winners:
            scored = _score_role(run, experiment, winner, images)
            _describe(winner, scored, images.test.labels, ~duplicate)
            for seed, p_fake in zip(winner.seeds, scored.p_fake, strict=True):
                arrays[f"{winner.role}_{seed.seed}"] = p_fake
            if winner.role == "tuned":
                _keep_best(run, winner, scored, images)
        _write(run, winners, arrays, int(duplicate.sum()), save)


def results_fault(run: Run) -> str | None:
    """Why the results of a tested run cannot be used: its best model or its predictions are missing or damaged.

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
    return None


def _agree(arrays: dict[str, np.ndarray], name: str, seed: Seed) -> bool:
    """Whether the accuracy in test.json is that of these predictions."""
    labels, p_fake = arrays.get("labels"), arrays.get(name)
    if labels is None or p_fake is None or "duplicate" not in arrays or len(labels) != len(p_fake):
        return False
    return abs(seed.test.accuracy.value - accuracy(labels, p_fake)) < 1e-9


def _score_role(run: Run, experiment: Experiment, winner: Winner, images: ImageSet) -> _Scored:
    detectors, p_fake = [], []
    for seed in winner.seeds:
        resolved = experiment.with_params(winner.params, seed=seed.seed)
        transform = model_transform(resolved.model, images.side)
        detector = detector_from_checkpoint(run.checkpoints(seed.folder).path / BEST, resolved, transform)
        with progress(f"judging the test part ({winner.role}, seed {seed.seed})") as update:
            p_fake.append(detector.p_fake_of_part(images.test, update))
        detectors.append(detector)
    return _Scored(detectors, p_fake)


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


def _keep_best(run: Run, winner: Winner, scored: _Scored, images: ImageSet) -> None:
    """Make `best/` of the seed with the median validation accuracy (the lower one of an even number)."""
    order = sorted(range(len(winner.seeds)), key=lambda index: winner.seeds[index].val_accuracy)
    index = order[(len(order) - 1) // 2]
    seed, detector = winner.seeds[index], scored.detectors[index]
    _set_aside(run)
    note = describe_detector(detector)
    note.transform = note.transform.model_copy(update={"neutral": run.experiment().data.neutral})
    note.study, note.seed, note.epoch, note.val_accuracy = run.name, seed.seed, seed.best_epoch, seed.val_accuracy
    note.data_fingerprint, note.domain = images.fingerprint, _domain(run.experiment(), images, detector.transform)
    save_detector(detector, run.best, note)


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


def _domain(experiment: Experiment, images: ImageSet, transform: Transform) -> Domain:
    """What the validation images are like, for `predict`; the size counts if all were delivered in one."""
    data = experiment.data
    chosen = split_train(images.train, data.val_fraction, data.split_seed, data.leave_out).validation
    validation = images.train.take(chosen)
    values = np.concatenate([properties(squares) for _, squares in stream_squares(validation, transform)])
    (width, height), *others = np.unique(validation.table.sizes, axis=0).tolist()
    same = not others and RESIZED not in images.converted  # sets of version 0.1 have the size that they were made to
    return describe_domain(values, (width, height) if same else None)


def _write(run: Run, winners: list[Winner], arrays: dict[str, np.ndarray], duplicates: int, save: Save) -> None:
    """Write predictions first, and test.json last, which marks the test as done; then remove the checkpoints."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(run.predictions_file, stream.getvalue())
    for winner in winners:
        winner.seeds = [seed.without("folder") for seed in winner.seeds]
    test = Winners(
        schema_version=SCHEMA,
        positive_class=POSITIVE,
        method=METHOD,
        test_images=len(arrays["labels"]),
        duplicates_removed=duplicates,
        winners=winners,
    )
    write_record(run.test_file, test)
    save()
    run.remove(run.winners_file.name)  # before its checkpoints, which it would name in vain if we died in between
    run.remove(run.winners.name)

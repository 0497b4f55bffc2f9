"""A blend: the best models of several studies, their logits averaged with weights that the validation part chooses."""

import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np

from cifake_ray import __version__
from cifake_ray.console import progress
from cifake_ray.data import ImageSet, absolute_source, run_images
from cifake_ray.data.sources.locate import noted_fingerprints
from cifake_ray.data.splits import differing_split
from cifake_ray.detector.blend import Blend
from cifake_ray.detector.load import file_sha256, load_detector, parameter_counts, save_detector
from cifake_ray.detector.module import Detector, uncalibrated, use_all_cores
from cifake_ray.detector.note import WEIGHTS_FILE, read_model_note
from cifake_ray.detector.verdict import decide
from cifake_ray.errors import InputError, WorkError
from cifake_ray.evaluation.calibration import domain_of, held_out_rows, validation_of, verdicts_on_test
from cifake_ray.evaluation.metrics import score_seeds
from cifake_ray.evaluation.testing import test_columns, write_tested
from cifake_ray.experiment import Experiment, Metric, Search, validate_experiment
from cifake_ray.runs.commit import git_commit
from cifake_ray.runs.names import create_run
from cifake_ray.runs.predictions import read_validation
from cifake_ray.runs.records import (
    SCHEMA,
    BlendMember,
    BlendNote,
    Environment,
    Mean,
    MemberNote,
    ModelNote,
    Seed,
    WeightsNote,
    Winner,
)
from cifake_ray.runs.records.store import read_environment, write_record
from cifake_ray.runs.resume import Storage
from cifake_ray.runs.run import Run, run_at
from cifake_ray.runs.trust import keep_file
from cifake_ray.stats.classification import accuracy, auc, balanced_accuracy
from cifake_ray.stats.ensemble import ROUNDS, Score, Selection, greedy_selection

METHOD = (
    f"Greedy selection with replacement, {ROUNDS} rounds, the first best average of these (Caruana et al. 2004), over "
    "the logits of each study's best/ on the validation part, which also chose their epochs and configurations."
)
ONLY_SEED = 0  # the seed under which the one model of a blend stands in test.json and predictions
_FIGURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {  # by `search.metric`, those that need logits alone
    "val_accuracy": accuracy,
    "val_balanced_accuracy": balanced_accuracy,
    "val_auc": auc,
}


@dataclass(frozen=True, eq=False)
class _Candidate:
    """The best model of one run, and its logits of the validation images, float64 [n]."""

    run: Run
    note: ModelNote
    detector: Detector
    logits: np.ndarray


def blend_runs(runs: Sequence[Run], storage: Storage, name: str, source: str | None = None) -> Run:
    """Choose weights for the best models of these runs on validation, test their blend once, and write its run.

    source: where the images of the runs are now. Raises InputError for fewer than two studies, a run without a usable
    model, other images or another split, a name that is taken; WorkError where no blend is better than one model.
    """
    runs = list({run.url or str(run.path.resolve()): run for run in runs}.values())
    experiments = check_members(runs)
    target = _free_run(storage, name, experiments[0])
    use_all_cores()
    images = run_images(runs[0], experiments[0], source)
    rows = held_out_rows(experiments[0], images)
    candidates = [_candidate(run, images, rows) for run in runs]
    metric = common_metric(experiments)
    labels = images.train.labels[rows]
    found = greedy_selection([one.logits for one in candidates], score_by(metric, labels))
    if np.count_nonzero(found.counts) < 2:
        best = candidates[int(np.argmax(found.counts))]
        raise WorkError(
            f"no blend of these models has a better {metric.label} than {best.run.name} alone; nothing was written"
        )
    return _write(target, candidates, experiments, images, rows, metric, found)


def check_members(runs: Sequence[Run]) -> list[Experiment]:
    """The experiments of the runs, whose best models can be averaged. Raises InputError; nothing heavy is done."""
    if len(runs) < 2:
        raise InputError("a blend needs two studies", "name at least two runs")
    experiments = []
    for run in runs:
        if run.blend_file.exists():
            raise InputError(f"{run.where}: a blend already", "name the studies that it is made of")
        experiments.append(run.experiment())
        read_model_note(run)
    first = runs[0]
    for run, experiment in zip(runs[1:], experiments[1:], strict=True):
        if not noted_fingerprints(run) & noted_fingerprints(first):
            raise InputError(f"{run.where}: other images than those of {first.where}", "blend studies of one set")
        if keys := differing_split(experiments[0].data, experiment.data):
            raise InputError(
                f"{run.where}: another split than that of {first.where} (data.{', data.'.join(keys)})",
                "blend studies that validate on the same images",
            )
    return experiments


def _free_run(storage: Storage, name: str, experiment: Experiment) -> Run:
    """The run to be written. Raises InputError for a name that is none, or taken."""
    validate_experiment(experiment.model_dump(mode="json", by_alias=True) | {"name": name}, "--name")
    run = run_at(storage, name)
    if run.exists():
        raise InputError(f"{run.where}: a run of this name exists", "choose another --name")
    return run


def _candidate(run: Run, images: ImageSet, rows: np.ndarray) -> _Candidate:
    """The run's best model with its validation logits: as the study stored them, else computed."""
    note, detector = read_model_note(run), load_detector(run)
    stored, labels = read_validation(run), images.train.labels[rows]
    logits = stored.logits.get("tuned", {}).get(-1 if note.seed is None else note.seed) if stored is not None else None
    if logits is None or stored is None or not np.array_equal(stored.labels, labels):
        with progress(f"judging the validation pictures by {run.name}") as update:
            logits = detector.logits_of_part(images.train, update, rows)
    return _Candidate(run, note, detector, np.clip(np.asarray(logits, np.float64), -1e6, 1e6))  # infinite ones too


def common_metric(experiments: Sequence[Experiment]) -> Metric:
    """What the studies were all chosen by, where validation logits suffice for that figure; else the accuracy."""
    metrics = {experiment.search.metric for experiment in experiments}
    (metric,) = metrics if len(metrics) == 1 else (Metric.VAL_ACCURACY,)
    return metric if metric in _FIGURES or metric is Metric.VAL_LOSS else Metric.VAL_ACCURACY


def score_by(metric: Metric, labels: np.ndarray) -> Score:
    """The score of averaged logits of FAKE: the metric, then the mean log loss. labels: uint8 [n], 0 FAKE."""
    sign = np.where(labels == 0, -1.0, 1.0)

    def score(logits: np.ndarray) -> tuple[float, ...]:
        loss = float(np.logaddexp(0, sign * logits).mean())
        if metric is Metric.VAL_LOSS:
            return (-loss,)
        return _FIGURES[metric](labels, uncalibrated(logits)), -loss

    return score


def _write(
    run: Run, candidates: Sequence[_Candidate], experiments: Sequence[Experiment], images: ImageSet, rows: np.ndarray,
    metric: Metric, found: Selection,
) -> Run:  # fmt: skip
    """Test the blend, and write everything that a run has; test.json last."""
    order = [at for at in sorted(range(len(candidates)), key=lambda at: -found.counts[at]) if found.counts[at]]
    blend = Blend([(candidates[at].detector, found.weights[at]) for at in order])
    labels, held_out = images.train.labels[rows], _average(candidates, found)
    with progress("judging the test part") as update:
        logits = blend.logits_of_part(images.test, update)
    arrays = test_columns(images)
    note = BlendNote(
        schema_version=SCHEMA,
        members=[_member(*one, labels) for one in zip(candidates, found.counts, found.weights, strict=True)],
        metric=str(metric),
        method=METHOD,
        validation_images=len(rows),
        val_accuracy=accuracy(labels, uncalibrated(held_out)),
    )
    winner = _winner(blend, note, images.test.labels, arrays["duplicate"], uncalibrated(logits))
    arrays |= {f"tuned_{ONLY_SEED}": uncalibrated(logits), f"logit_tuned_{ONLY_SEED}": logits.astype(np.float32)}
    validation = validation_of(images.train.take(rows))
    validation.logits["tuned"] = {ONLY_SEED: held_out.astype(np.float32)}
    first = experiments[order[0]]
    domain = candidates[order[0]].note.domain or domain_of(first, images, blend.transform)
    decision = decide(labels, held_out)
    create_run(run.storage, run.name, _as_run(first, run.name, images))
    model = candidates[order[0]].note.model_copy(
        update={
            "members": [_noted(run, candidates[at], found.weights[at]) for at in order],
            "study": run.name, "seed": ONLY_SEED, "epoch": None, "val_accuracy": note.val_accuracy,
            "data_fingerprint": images.fingerprint, "domain": domain, "decision": decision,
        }
    )  # fmt: skip
    with run.update():
        write_record(run.environment_file, _environment([one.run for one in candidates], images))
        save_detector(blend, run.best, model)
        write_record(run.blend_file, note)
        verdicts = verdicts_on_test(first, images, blend.transform, decision, domain, logits)
        write_tested(run, [winner], arrays, validation, verdicts)
    return run


def _average(candidates: Sequence[_Candidate], found: Selection) -> np.ndarray:
    """Logits of the blend, float64 [n], of the validation images."""
    return np.asarray(sum(weight * one.logits for weight, one in zip(found.weights, candidates, strict=True)))


def _member(candidate: _Candidate, chosen: int, weight: float, labels: np.ndarray) -> BlendMember:
    return BlendMember(
        run=candidate.run.name,
        model=candidate.note.model.label,
        seed=candidate.note.seed,
        sha256=file_sha256(candidate.run.best / WEIGHTS_FILE),  # version 0.1 noted none
        chosen=chosen,
        weight=weight,
        val_accuracy=accuracy(labels, uncalibrated(candidate.logits)),
    )


def _noted(run: Run, candidate: _Candidate, weight: float) -> MemberNote:
    """The note of a member, whose Python file, where the model has one, is copied into the run of the blend."""
    model = keep_file(run, candidate.detector.model)
    return MemberNote(run=candidate.run.name, weight=weight, note=candidate.note.model_copy(update={"model": model}))


def _winner(blend: Blend, note: BlendNote, labels: np.ndarray, duplicate: np.ndarray, p_fake: np.ndarray) -> Winner:
    """The entry of test.json: one model, which no seed was drawn for."""
    (test,), mean = score_seeds(labels, [p_fake])
    (test_fresh,), mean_fresh = score_seeds(labels[~duplicate], [p_fake[~duplicate]])
    trained, total = parameter_counts(blend)
    return Winner(
        role="tuned",
        trial_id=0,
        seeds=[Seed(seed=ONLY_SEED, val_accuracy=note.val_accuracy, test=test, test_dedup=test_fresh)],
        params_trained=trained,
        params_total=total,
        weights=blend.weights_label,
        mean=Mean(val_accuracy=note.val_accuracy, test=mean, test_dedup=mean_fresh),
    )


def _as_run(first: Experiment, name: str, images: ImageSet) -> Experiment:
    """experiment.yaml of a blend: the data of its members and the model of the heaviest; nothing is searched."""
    data = first.data.model_copy(update={"source": absolute_source(images.source)})
    return first.model_copy(
        update={"name": name, "data": data, "search_space": {}, "search": Search(trials=1, metric=first.search.metric)}
    )


def _environment(runs: Sequence[Run], images: ImageSet) -> Environment:
    """environment.json of a blend: the images of its members, and their pretrained weights."""
    noted = [read_environment(run) for run in runs]
    weights: dict[str, WeightsNote] = {one.sha256: one for each in noted for one in each.weights or []}
    return Environment(
        schema_version=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        versions={"python": platform.python_version(), "cifake_ray": __version__}
        | {name: version(name) for name in ("torch", "numpy")},
        git_commit=git_commit(),
        data=noted[0].data.model_copy(update={"source": images.source}),
        weights=list(weights.values()) or None,
        seeds={"split": noted[0].seeds.get("split", 0)},
    )

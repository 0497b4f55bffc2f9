"""One study from its experiment to its retrained winners: start Ray, propose, train, stop early, resume, retrain."""

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher

from cifake_ray.errors import InputError, Interrupted, WorkError
from cifake_ray.experiment import Experiment, save_experiment, validate_experiment
from cifake_ray.run import Run, create_run, open_run, write_json, write_text, writing
from cifake_ray.tuning.gauges import StudyGauges
from cifake_ray.tuning.prepare import Inputs, describe_environment, gather_inputs, gather_materials
from cifake_ray.tuning.progress import Display, Guard, Quiet, StudyStopped, Watch, catching_signals
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.resources import check_workers, cluster_capacity, local_capacity, max_concurrent
from cifake_ray.tuning.search import ListSearch, StudySearch
from cifake_ray.tuning.trial import build_trainable
from cifake_ray.tuning.winners import already_retrained, note_winners, planned_retrainings, promote_trial

PROCESS_DEATHS = 3  # times that a trial is started again after its process died; then it is recorded as failed

# Tune's own files are not used (the journal is the record), and its snapshots would only cost time.
_TUNE_SETTINGS = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_STARTS = 3  # tries to start a local Ray: on two cores busy with a study its processes missed their 30 s


@dataclass(frozen=True)
class StudyRequest:
    """What to run: a new study of this name, or (`resume`) the experiment of the run that has it."""

    experiment: Experiment
    storage: Path
    name: str
    resume: bool = False
    address: str | None = None


def resumed_request(storage: Path, name: str, trials: int | None, address: str | None) -> StudyRequest:
    """The request that goes on with an existing run; `trials` may raise its number.

    Raises InputError for an unknown run, or fewer trials than asked for before.
    """
    run = open_run(storage, name)
    experiment = run.experiment()
    if trials is not None:
        if trials < experiment.search.trials:
            raise InputError(
                f"--trials {trials}: {run.path} has {experiment.search.trials} already; the number can only grow"
            )
        search = experiment.search.model_copy(update={"trials": trials})
        experiment = experiment.model_copy(update={"search": search})
    return StudyRequest(experiment, run.path.parent, run.name, resume=True, address=address)


def check_new_study(request: StudyRequest, *, searching: bool = True) -> None:
    """Raise InputError when the study could not begin, before anything heavy is done; nothing is written.

    That is: nothing to search (unless `searching` is False), a name that is none or taken, a storage that cannot be
    written.
    """
    experiment = request.experiment
    if searching and not experiment.search_space:
        raise InputError(
            f"{experiment.name}: search_space is empty, so there is nothing to tune; name a dimension, or train the "
            "experiment's own values with `cifake-ray train`"
        )
    validate_experiment(experiment.model_dump(mode="json", by_alias=True) | {"name": request.name}, "--name")
    if (request.storage / request.name / "experiment.yaml").exists():
        create_run(request.storage, request.name, experiment)
    path = request.storage / request.name
    existing = next(folder for folder in (path, *path.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        why = "no right to write there" if existing.is_dir() else "a file is in the way"
        raise InputError(f"{request.storage}: cannot be written ({existing}: {why}); choose another --storage")


def planned_concurrency(experiment: Experiment) -> int:
    """Trials at once on this machine, without starting Ray. Raises InputError when not even one fits."""
    check_workers(experiment)
    return max_concurrent(experiment, local_capacity())


def run_study(request: StudyRequest) -> Run:
    """Run the study, or what is left of it, and retrain its winner and baseline.

    Raises InputError before anything is written, WorkError when all trials fail, Interrupted after a signal.
    """
    experiment = request.experiment
    check_workers(experiment)
    if request.address is None:
        planned_concurrency(experiment)
    if request.resume:
        with writing(Run(request.storage / request.name)):
            pass  # refused now if another process holds the run, not after Ray is up
    else:
        check_new_study(request, searching=False)
    inputs = gather_inputs(experiment)
    guard = Guard(experiment.search)
    with ray_session(request.address, experiment) as own, catching_signals(guard):  # in this order: Ray sets handlers
        places = planned_concurrency(experiment) if own else max_concurrent(experiment, cluster_capacity(experiment))
        run = (
            Run(request.storage / request.name)
            if request.resume
            else create_run(request.storage, request.name, experiment)
        )
        with writing(run):
            _run(experiment, run, inputs, guard, places)
    return run


def _run(experiment: Experiment, run: Run, inputs: Inputs, guard: Guard, places: int) -> None:
    """The study proper, as the run's only writer."""
    started = time.monotonic()
    environment = _note_environment(experiment, run, inputs, places)
    materials, spent = gather_materials(experiment, run, inputs)
    if spent and spent["extracted"]:
        environment["features"] = spent
    trainable = build_trainable(materials)
    record = StudyRecord(run, experiment)
    gauges = StudyGauges(record, len(inputs.split.train))
    try:
        environment["ended"] = _tune(experiment, record, trainable, guard, places, gauges)
        _retrain(run, record, trainable, guard, places, gauges)
    except StudyStopped as stop:
        environment["ended"] = str(stop)
        raise _interrupted(run, record) from stop
    finally:
        environment["seconds"] = round(environment["seconds"] + time.monotonic() - started, 1)
        write_json(run.environment_file, environment)
        record.flush(force=True)
    _remove_losers(run, record)


def _note_environment(experiment: Experiment, run: Run, inputs: Inputs, places: int) -> dict[str, Any]:
    """Write experiment.yaml and environment.json; a resumed run keeps its history and must be about the same images.

    Raises InputError when the images or the weights are not those of the run.
    """
    environment = describe_environment(experiment, inputs, places)
    before = run.read_json(run.environment_file)
    if before:
        for what, now, then in (
            ("images", environment["data"]["fingerprint"], before["data"]["fingerprint"]),
            ("backbone weights", _hashes(environment["weights"]), _hashes(before["weights"])),
        ):
            if now != then:
                raise InputError(f"{run.path}: the {what} are not those that this study began with; start a new one")
        environment |= {key: before[key] for key in ("created", "command", "features", "seconds")}
        environment["resumed"] = [*before.get("resumed", []), environment["versions"]]
    write_text(run.experiment_file, save_experiment(experiment))
    write_json(run.environment_file, environment)
    return environment


def _hashes(weights: list[dict[str, Any]] | None) -> list[str]:
    return sorted(weight["sha256"] for weight in weights or [])


def _tune(
    experiment: Experiment,
    record: StudyRecord,
    trainable: type[tune.Trainable],
    guard: Guard,
    places: int,
    gauges: StudyGauges,
) -> str:
    """Run the trials that are left; returns why it ended. Raises StudyStopped on a signal."""
    guard.started = time.monotonic()
    interrupted = record.with_status("interrupted")
    if record.finished >= experiment.search.trials and not interrupted:
        return "trials"
    search = StudySearch(record, places)
    scheduler = build_scheduler(experiment, record)
    try:
        with Display(record, guard) as display:
            _fit(trainable, search, scheduler, Watch(guard, record, display, search.deaths, gauges))
    except StudyStopped as stop:
        if str(stop) == "interrupted":
            raise
        return str(stop)
    finally:
        record.interrupt()
    return "space exhausted" if search.exhausted else "trials"


def _retrain(
    run: Run, record: StudyRecord, trainable: type[tune.Trainable], guard: Guard, places: int, gauges: StudyGauges
) -> None:
    """Train winner and baseline again with fresh seeds, unless that is done."""
    if record.experiment.search.winner_seeds == 0:
        promote_trial(run, record)
        return
    plan = planned_retrainings(record)
    if already_retrained(run, plan):
        return
    run.test_file.unlink(missing_ok=True)
    failures: dict[str, str] = {}
    done = []

    def on_end(name: str, failure: str | None) -> None:
        done.append(name)
        if failure:
            failures[name] = failure
        outcome = f": failed, {failure}" if failure else ""
        print(f"retrained {name} ({len(done)}/{len(plan)}){outcome}", file=sys.stderr, flush=True)

    search = ListSearch([retraining.config() for retraining in plan], places, on_end)
    gauges.clear()  # of trials that a budget ended
    _fit(trainable, search, FIFOScheduler(), Watch(guard, None, Quiet(), {}, gauges))
    note_winners(run, plan, failures, record.experiment.training.epochs)


def build_scheduler(experiment: Experiment, record: StudyRecord | None = None) -> TrialScheduler:
    """ASHA on the best metric so far, told what the finished trials of a resumed study had reached; or none."""
    search = experiment.search
    if search.scheduler == "none":
        return FIFOScheduler()
    scheduler = ASHAScheduler(
        time_attr="epoch",
        metric=f"best_{search.metric}",
        mode="max" if search.metric == "val_accuracy" else "min",
        max_t=experiment.training.epochs,
        grace_period=min(search.grace_epochs, experiment.training.epochs),
        reduction_factor=search.reduction_factor,
    )
    for row in record.with_status("completed", "stopped") if record else []:
        trial = SimpleNamespace(trial_id=f"finished-{row.trial_id}")
        scheduler.on_trial_add(None, trial)
        best = None
        for _, epoch in sorted(row.curve.items()):
            value = epoch[search.metric]
            better = max if search.metric == "val_accuracy" else min
            best = value if best is None else better(best, value)
            scheduler.on_trial_result(None, trial, epoch | {f"best_{search.metric}": best})
    return scheduler


def _fit(trainable: type[tune.Trainable], search: Searcher, scheduler: TrialScheduler, watch: Watch) -> None:
    """Hand all of it to Ray Tune. Tune's own folder is scratch: nothing of ours lies in it."""
    os.environ.update(_TUNE_SETTINGS)
    with tempfile.TemporaryDirectory(prefix="cifake-ray-", ignore_cleanup_errors=True) as scratch:
        tuner = tune.Tuner(
            trainable,
            tune_config=tune.TuneConfig(
                search_alg=search,
                scheduler=scheduler,
                num_samples=-1,
                reuse_actors=True,
                trial_dirname_creator=lambda trial: trial.trial_id,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=scratch,
                verbose=0,
                callbacks=[watch],
                failure_config=tune.FailureConfig(max_failures=PROCESS_DEATHS),
            ),
        )
        tuner.fit()


@contextmanager
def ray_session(address: str | None, experiment: Experiment) -> Iterator[bool]:
    """A Ray of our own (yields True), the one at `address`, of the job we run in, or one that is connected already."""
    if ray.is_initialized():
        yield False
        return
    in_job = "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ
    quiet = {"log_to_driver": False, "logging_level": "error"}
    try:
        if address is not None or in_job:
            ray.init(address=address or "auto", **quiet)
        else:
            _start_local(experiment, quiet)
    except ConnectionError as error:
        raise InputError(
            f"--address {address}: no Ray cluster answers there; check it, or leave --address out"
        ) from error
    try:
        yield address is None and not in_job
    finally:
        ray.shutdown()


def _start_local(experiment: Experiment, quiet: dict[str, Any]) -> None:
    """A cluster of this process alone; one logical CPU more for the processes that wait for workers."""
    cpus = int(local_capacity()["CPU"]) + (experiment.resources.workers_per_trial > 0)
    for left in reversed(range(_STARTS)):
        try:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **quiet)
            return
        except Exception as error:
            ray.shutdown()
            if not left:
                reason = " ".join(str(error).split())[:200]
                raise WorkError(
                    f"Ray did not start on this machine: {reason}; try again when it is less busy"
                ) from error


def _interrupted(run: Run, record: StudyRecord) -> Interrupted:
    cli = f"cifake-ray tune --resume {run.name} --storage {run.path.parent}"
    return Interrupted(
        f"interrupted with {record.finished} of {record.experiment.search.trials} trials done; everything is in "
        f"{run.path}; go on with: {cli}"
    )


def _remove_losers(run: Run, record: StudyRecord) -> None:
    """Keep the checkpoints of the best trial and of interrupted ones."""
    best = record.best()
    kept = {str(row.trial_id) for row in record.with_status("interrupted")} | {str(best.trial_id) if best else ""}
    for folder in run.trials.iterdir() if run.trials.is_dir() else ():
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)

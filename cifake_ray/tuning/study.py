"""One study conducted on a running Ray: propose, train, stop early, resume, retrain the winner and the baseline."""

import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from functools import cache

from ray import tune
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from cifake_ray.data.sources.locate import noted_fingerprints
from cifake_ray.errors import InputError, Interrupted
from cifake_ray.experiment import Experiment, save_experiment
from cifake_ray.runs.faults import interrupted_line, storage_faults_interrupt, storage_interrupted
from cifake_ray.runs.files import write_text
from cifake_ray.runs.names import create_run
from cifake_ray.runs.records import Environment, WeightsNote
from cifake_ray.runs.records.store import read_environment, write_record
from cifake_ray.runs.resume import Storage
from cifake_ray.runs.run import Run, Save, run_at
from cifake_ray.signals import leave, resumable
from cifake_ray.tuning.environment import describe_environment, gather_context
from cifake_ray.tuning.monitor.assembly import study_callbacks
from cifake_ray.tuning.monitor.callback import Callbacks, Outcome, StudyEnd
from cifake_ray.tuning.monitor.phases import finished_trials, say_phase
from cifake_ray.tuning.monitor.stopping import StopSignal, StudyStopped, catching_signals, last_line
from cifake_ray.tuning.monitor.tune_adapter import TuneAdapter
from cifake_ray.tuning.ray_cluster.capacity import Slots
from cifake_ray.tuning.ray_cluster.session import import_meanwhile, waiting_processes
from cifake_ray.tuning.ray_cluster.shared_storage import SharedStorage
from cifake_ray.tuning.ray_cluster.watchdog import watching_ray
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.retraining import (
    Retraining,
    RetrainingFailures,
    already_retrained,
    lost_winner,
    note_winners,
    planned_retrainings,
    promote_trial,
)
from cifake_ray.tuning.search.scheduler import build_scheduler
from cifake_ray.tuning.search.searcher import ChainedSearch, ListSearch, StudySearch
from cifake_ray.tuning.study_inputs import StudyInputs
from cifake_ray.tuning.trial.trainable import build_trainable
from cifake_ray.tuning.warm_start.transfer import Transfer

_SAVE_SECONDS = 3.0
PROCESS_DEATHS = 3  # times that a trial is started again after its process died; then it is recorded as failed


def conduct(
    experiment: Experiment, inputs: StudyInputs, storage: Storage, name: str, taken: Transfer | None = None,
    *, resume: bool, own: bool,
) -> Run:  # fmt: skip
    """Run the study, or what is left of it, on the connected Ray; `own`: one that this process has started.

    The Python file of its model is in the experiment, and may be executed; so may the copy in the run that is returned.
    `taken`: what a new study takes of earlier ones.
    Raises InputError before anything is written, WorkError when all trials fail, Interrupted after a signal.
    """
    with catching_signals() as stop:  # after Ray, which sets handlers
        slots = Slots(experiment, own=own)
        nodes = None if own else SharedStorage(storage)
        if nodes is not None:
            nodes.check_all()
        run = (run_at(storage, name) if resume else create_run(storage, name, experiment)).trusting()
        resumable(interrupted_line(run, finished_trials(run), experiment.search.trials))
        with storage_faults_interrupt(run), run.update() as save, waiting_processes() if own else nullcontext():
            if taken is not None:
                write_record(run.warm_start_file, taken.start)
            _run(experiment, run, inputs, stop, slots, nodes, save, taken, own=own)
    return run


def _run(
    experiment: Experiment, run: Run, inputs: StudyInputs, stop: StopSignal, slots: Slots,
    nodes: SharedStorage | None, save: Save, taken: Transfer | None, *, own: bool,
) -> None:  # fmt: skip
    """Run the study as the run's only writer."""
    started = time.monotonic()
    environment = _note_environment(experiment, run, inputs, slots, taken)
    record = StudyRecord(run, experiment, save)

    def lost(what: str) -> None:
        _save_quickly(record)
        leave(f"Ray's {what} is gone, so the study was {last_line(record)}", 1)

    watching = ExitStack()
    try:
        watching.enter_context(watching_ray(lost, own=own))
        context, spent = gather_context(experiment, run, inputs, stop.check)
        if spent and spent.extracted:
            environment.features = spent
        callbacks = study_callbacks(record, inputs, spent, slots.capacity, stop, nodes)
        study = Study(record, build_trainable(context, slots.capacity.bundle), slots, callbacks)
        with study.followed():
            environment.ended = study.tune()
            study.retrain()
    except StudyStopped as stopped:
        environment.ended = stopped.reason
        raise storage_interrupted(run, record.fault) if record.fault else Interrupted(last_line(record)) from stopped
    finally:
        watching.close()
        environment.seconds = round(environment.seconds + time.monotonic() - started, 1)
        write_record(run.environment_file, environment)
        record.flush(force=True)
    save()  # raises where the last flush only noted a fault: no checkpoint goes before the record of it is put
    _remove_losers(run, record)


def _note_environment(
    experiment: Experiment, run: Run, inputs: StudyInputs, slots: Slots, taken: Transfer | None
) -> Environment:  # fmt: skip
    """Write experiment.yaml and environment.json; a resumed run keeps its history and must be about the same images.

    Raises InputError when the images or the weights are not those of the run.
    """
    environment = describe_environment(experiment, inputs, slots())
    if taken is not None:
        environment.warm_start = list(taken.notes)
    before = read_environment(run)
    if not before.empty:
        weights, noted = environment.weights, noted_fingerprints(run)
        then = before.weights if "weights" in before.model_fields_set else weights
        for what, same in (
            ("images", not noted or bool(noted & inputs.images.fingerprints)),
            ("backbone weights", _hashes(weights) == _hashes(then)),
        ):
            if not same:
                raise InputError(f"{run.where}: the {what} are not those that this study began with", "start a new one")
        lasting = {"created", "command", "features", "warm_start", "seconds", *(before.model_extra or ())}
        kept = before.model_fields_set & lasting
        environment = environment.model_copy(update={key: getattr(before, key) for key in kept})
        environment.resumed = [*before.resumed, environment.versions]
    write_text(run.experiment_file, save_experiment(experiment))
    write_record(run.environment_file, environment)
    return environment


def _hashes(weights: list[WeightsNote] | None) -> list[str]:
    return sorted(weight.sha256 for weight in weights or [])


class Study:
    """A study under way: the trials that are left, then winner and baseline with fresh seeds."""

    def __init__(
        self, record: StudyRecord, trainable: type[tune.Trainable], slots: Slots, callbacks: Callbacks
    ) -> None:  # fmt: skip
        self.record, self.trainable, self.slots = record, trainable, slots
        self.failures = RetrainingFailures()
        self.callbacks = Callbacks([callbacks, self.failures])
        self.plan: list[Retraining] | None = None  # of the retrainings, once they have begun
        self.ended: Outcome = "failed"

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Context of everything the study does: its callbacks are called with its end, in order or not."""
        outcome: Outcome = "failed"
        try:
            yield
            outcome = self.ended
        except StudyStopped as stop:
            outcome = stop.reason
            raise
        finally:
            self.callbacks.study_ended(StudyEnd(outcome, self.record.best()))

    def tune(self) -> Outcome:
        """Run trials and retrainings; returns why the trials ended. Raises StudyStopped at a signal."""
        self.ended = self._tune()
        return self.ended

    def _tune(self) -> Outcome:
        if self.record.finished >= self.record.experiment.search.trials and not self.record.with_status("interrupted"):
            return "trials"
        search = StudySearch(self.record, self.slots)
        try:
            say_phase(self.record.experiment, "search")
            self._fit(ChainedSearch(search, self._retrainings, _import_scoring))
        except StudyStopped as stop:
            if stop.reason in ("interrupted", "storage"):
                raise
            return stop.reason
        finally:
            self.record.interrupt()
        return "space exhausted" if search.exhausted else "trials"

    def retrain(self) -> None:
        """Retrain where no retraining followed the trials (a budget ended them, none were left); write winners.json."""
        if self.plan is None:
            retrainings = self._retrainings()
            if retrainings.waiting:
                self._fit(retrainings)
        run, search = self.record.run, self.record.experiment.search
        if search.winner_seeds == 0:
            promote_trial(run, self.record)
        elif not already_retrained(run, self.plan or []):
            note_winners(run, self.plan or [], self.failures.reasons, self.record.experiment.training.epochs)

    def _retrainings(self) -> ListSearch:
        """Searcher over the retrainings that are not done yet. Raises WorkError when every trial failed."""
        self.plan, run = planned_retrainings(self.record), self.record.run
        if not self.plan:
            waiting = lost_winner(run, self.record)
        else:
            waiting = [] if already_retrained(run, self.plan) else [retraining.config() for retraining in self.plan]
        if waiting:
            run.remove(run.test_file.name)
        self.callbacks.search_ended(len(waiting))
        if waiting:
            say_phase(self.record.experiment, "retraining", "winner and baseline with fresh seeds, then the test")
        elif self.plan:
            say_phase(self.record.experiment, "retraining", "kept: winner and baseline are those of before")
        return ListSearch(waiting, self.slots)

    def _fit(self, search: Searcher) -> None:
        adapter = TuneAdapter(self.record, self.callbacks)
        try:
            _fit(self.trainable, search, build_scheduler(self.record.experiment, self.record), adapter)
        finally:
            adapter.interrupt_live()


def _fit(trainable: type[tune.Trainable], search: Searcher, scheduler: TrialScheduler, adapter: TuneAdapter) -> None:
    """Run Ray Tune's loop. Tune's own folder is temporary: nothing of ours lies there."""
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
                callbacks=[adapter],
                failure_config=tune.FailureConfig(max_failures=PROCESS_DEATHS),
            ),
        )
        tuner.fit()


@cache
def _import_scoring() -> None:
    """Import what scores the winners (1.2 s of a core), on a core that has no trial any more."""
    import_meanwhile("sklearn.metrics")


def _save_quickly(record: StudyRecord) -> None:
    """Mark the running trials as interrupted, if that can be done at once: the main thread waits for a dead Ray."""
    saving = threading.Thread(target=record.interrupt, daemon=True)
    saving.start()
    saving.join(_SAVE_SECONDS)


def _remove_losers(run: Run, record: StudyRecord) -> None:
    """Keep the checkpoints of the best trial and of interrupted ones."""
    best = record.best()
    kept = {str(row.trial_id) for row in record.with_status("interrupted")} | {str(best.trial_id) if best else ""}
    for trial in record.rows:
        if str(trial) not in kept:
            run.remove(f"trials/{trial}")

"""A study as requested: refused at once if it cannot begin, else run on a Ray of its own or on a cluster.

Light: neither Ray nor torch is imported before everything that can be checked without them is.
"""

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifake_ray.address import check_address
from cifake_ray.console import say, warn
from cifake_ray.data import absolute_source, check_images_here
from cifake_ray.data.sources.find import refuse_undivided
from cifake_ray.data.sources.reading import reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES, Experiment, check_study
from cifake_ray.runs.faults import interrupted_line, storage_faults_interrupt
from cifake_ray.runs.names import create_run, open_run
from cifake_ray.runs.records.store import read_environment
from cifake_ray.runs.resume import Storage, in_job
from cifake_ray.runs.run import Run, run_at
from cifake_ray.runs.trust import run_experiment
from cifake_ray.signals import resumable
from cifake_ray.storage.mirror import check_writable
from cifake_ray.tuning.monitor.phases import finished_trials, say_opening, say_phase
from cifake_ray.tuning.ray_cluster.capacity import Capacity
from cifake_ray.tuning.study_inputs import StudyInputs, gather_inputs, small_parts, split_lines, warnings_of

if TYPE_CHECKING:
    from cifake_ray.tuning.warm_start.parents import Parent
    from cifake_ray.tuning.warm_start.transfer import Transfer

ResultsFault = Callable[[Run], str | None]


@dataclass(frozen=True)
class StudyRequest:
    """What to run: a new study of this name, or (`resume`) the experiment of the run of this name.

    `data`: where the images of a resumed run are now, if its experiment does not say. `trust`: the Python file of a
    run that is still to be read may be executed. `parents`: studies that a new one begins from.
    """

    experiment: Experiment
    storage: Storage
    name: str
    resume: bool = False
    address: str | None = None
    data: str | None = None
    trust: bool = False
    parents: "tuple[Parent, ...]" = ()


def resumed_request(
    storage: Storage,
    name: str,
    trials: int | None,
    address: str | None,
    data: str | None = None,
    *,
    trust: bool = False,
) -> StudyRequest:
    """The request to resume an existing run; `trials` may raise its number, `data` names where its images are now.

    trust: run its own Python file, whatever is in it. Raises InputError for an unknown run, fewer trials than requested
    before, images that cannot be found, or a Python file that may not be run or is another one.
    """
    run = open_run(storage, name).trusting(trust)
    if run.blend_file.exists():
        raise InputError(f"{run.where}: a blend, which has no trials", "resume one of the studies that it averages")
    noted, experiment = run.experiment().model.own_file_sha256, run_experiment(run)
    if experiment.model.own_file_sha256 != noted:
        raise InputError(f"{run.where}: the Python file is not the one that this study began with", "start a new one")
    if trials is not None:
        if trials < experiment.search.trials:
            raise InputError(
                f"--trials {trials}: {run.where} has {experiment.search.trials} already", "the number can only grow"
            )
        search = experiment.search.model_copy(update={"trials": trials})
        experiment = experiment.model_copy(update={"search": search})
    check_images_here(run, experiment, data)
    _check_resumable(run, experiment)
    return StudyRequest(experiment, run.storage, run.name, resume=True, address=address, data=data)


def check_new_study(request: StudyRequest, *, searching: bool = True) -> None:
    """Raise InputError when the study could not begin, before anything heavy is done; nothing is written.

    That is: nothing to search (unless `searching` is False), a name that is invalid or taken, a storage that cannot be
    written.
    """
    experiment = request.experiment
    check_study(experiment, request.name, searching=searching)
    run = run_at(request.storage, request.name)
    if run.exists():
        create_run(request.storage, request.name, experiment)
    if run.url is not None:
        check_writable(str(request.storage))
        return
    existing = next(folder for folder in (run.path, *run.path.absolute().parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        why = "no right to write there" if existing.is_dir() else "a file is in the way"
        raise InputError(f"{request.storage}: cannot be written ({existing}: {why})", "choose another --storage")


def run_study(request: StudyRequest, results_fault: ResultsFault | None = None) -> Run:
    """Run the study, or what is left of it, and retrain its winner and baseline.

    `results_fault`: why the results of a tested run cannot be used; such results are made again.
    Raises InputError before anything is written, WorkError when all trials fail, Interrupted after a signal.
    """
    experiment = request.experiment
    if request.address is None and not in_job():  # a job's own machine may have no slots at all
        Capacity.here(experiment)
    else:
        Capacity(experiment)
    run = run_at(request.storage, request.name).trusting() if request.resume else None  # its file is in the request
    if run is not None:
        resumable(interrupted_line(run, finished_trials(run), experiment.search.trials))
        say_opening(experiment, request.name, run)  # before optuna is imported
        _check_resumable(run, experiment)  # refused now, not after Ray is up
    else:
        check_new_study(request, searching=False)
    check_address(request.address)
    if run is None:
        refuse_undivided(experiment.data.source, reading_of(experiment.data))
        say_opening(experiment, request.name, run)
    say_phase(experiment, "images")
    inputs = gather_inputs(experiment, run, request.data)
    _say_counts(inputs)
    taken = _take_over(request, inputs) if request.parents else None
    if run is not None and _nothing_left(run, experiment, results_fault):
        say("nothing left to do; --trials N extends the study")
        return run
    experiment = _with_source(experiment, absolute_source(inputs.images.source))
    if "ray" not in sys.modules:  # the first study of this process
        say("starting: loading torch and Ray ...")
    from cifake_ray.tuning.ray_cluster.session import ray_session  # heavy: what is refused above is refused at once

    with ray_session(request.address, experiment) as own:
        from cifake_ray.tuning.study import conduct

        return conduct(experiment, inputs, request.storage, request.name, taken, resume=request.resume, own=own)


def _take_over(request: StudyRequest, inputs: StudyInputs) -> "Transfer":
    """What the study knows of its parents, said in a line each."""
    from cifake_ray.tuning.warm_start.transfer import transfer

    taken = transfer(request.parents, request.experiment, inputs.images.fingerprints)
    for line in taken.lines:
        say(line)
    return taken


def _check_resumable(run: Run, experiment: Experiment) -> None:
    """Raise InputError when another process writes the run, or its journal or a record of it is damaged."""
    from cifake_ray.tuning.journal import check_journal

    locked = (run.path / ".lock").exists()  # else nobody writes the run, and a dry run makes no file
    with run.update() if locked or run.url is not None else nullcontext():
        read_environment(run)
        check_journal(run, experiment)


def _say_counts(inputs: StudyInputs) -> None:
    train, validation, test = len(inputs.split.train), len(inputs.split.validation), len(inputs.images.test)
    say(f"images: {train:,} train, {validation:,} validation, {test:,} test")
    note = inputs.images.card.note if inputs.images.source in SAMPLES else ""  # the first line has it
    for line in [
        *split_lines(inputs),
        *warnings_of(inputs.images, inputs.bias, inputs.neutral_bias),
        *small_parts(inputs),
    ]:
        if line != note:
            say(line)


def _nothing_left(run: Run, experiment: Experiment, results_fault: ResultsFault | None) -> bool:
    """Whether the resumed run is complete. Results that cannot be used are removed, so that they are made again."""
    from cifake_ray.tuning.record import StudyRecord
    from cifake_ray.tuning.retraining import is_complete

    with storage_faults_interrupt(run), run.update():
        fault = results_fault(run) if results_fault is not None and run.test_file.exists() else None
        if fault is not None:
            warn(f"{fault}: the winners are trained and tested again")
            run.remove(run.test_file.name)
        return is_complete(StudyRecord(run, experiment))


def _with_source(experiment: Experiment, source: str) -> Experiment:
    return experiment.model_copy(update={"data": experiment.data.model_copy(update={"source": source})})

"""Runs found, listed and made by name, path, address or job."""

import difflib
import re
import shutil
from pathlib import Path

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, save_experiment
from cifake_ray.runs.files import write_bytes, write_text
from cifake_ray.runs.resume import DEFAULT_STORAGE, Storage, resume_command
from cifake_ray.runs.run import Run, run_at
from cifake_ray.runs.trust import remember_file
from cifake_ray.storage import mirror
from cifake_ray.storage.conditional_writes import Changed, write_tagged
from cifake_ray.storage.mirror import check_place

_JOB_SUFFIX = re.compile(r"-[0-9a-f]{6}$")  # a job is called STUDY-123abc


def find_run(place: str | Path, storage: Storage = DEFAULT_STORAGE) -> Run:
    """The run that a command line names: its folder, its address, its name in `storage`, or the id of its job.

    A run in object storage is fetched. Raises InputError, naming the runs there are, when there is no such run.
    """
    check_place(str(place), "run")
    name = str(place).rstrip("/") or "/"
    if mirror.is_remote(name):
        above, _, last = name.rpartition("/")
        candidates = [run_at(above, last)]
    else:
        candidates = [Run(Path(name))]
        if "/" not in name:
            candidates += [run_at(storage, name), run_at(storage, _JOB_SUFFIX.sub("", name))]
    for run in candidates:
        if run.exists():
            return run.fetch()
    if candidates[0].url is not None or Path(name).is_dir():
        candidates[0].experiment()
    raise _no_run(name, storage)


def _no_run(name: str, storage: Storage) -> InputError:
    """The error of a run that is not there."""
    known = [run.name for run in list_runs(storage)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    meant = f"; did you mean {close[0]}?" if close else ""
    pattern = ", and the shell found none of this pattern" if any(sign in name for sign in "*?[") else ""
    place = storage if mirror.is_remote(str(storage)) else Path(storage).absolute()
    return InputError(f"{name}: no such run{pattern}", f"runs in {place}: {', '.join(known) or 'none'}{meant}")


def create_run(storage: Storage, name: str, experiment: Experiment) -> Run:
    """A new run with its experiment.yaml, and a copy of the Python file of its model where that has one.

    Raises InputError when a run of this name exists, or the storage cannot be written.
    """
    run = run_at(storage, name)
    taken = InputError(
        f"{run.where}: a run of this name exists",
        f"resume it with `{resume_command(name, storage)}`, or choose another --name",
    )
    if run.exists():
        raise taken
    text, file = save_experiment(experiment), experiment.model.own_file
    try:
        if run.url is not None:
            shutil.rmtree(run.path, ignore_errors=True)  # the mirror of a run that is gone
        run.path.mkdir(parents=True, exist_ok=True)
        if file is not None:
            write_bytes(run.path / file.name, file.content)
        write_text(run.experiment_file, text)
    except OSError as error:
        raise InputError(f"{storage}: cannot be written ({error.strerror})", "choose another --storage") from error
    if run.url is not None:
        try:
            write_tagged(f"{run.url}/{run.experiment_file.name}", text.encode(), None)
        except Changed:
            raise taken from None
    if file is not None:
        remember_file(file)
        if run.url is not None:
            mirror.write_bytes(f"{run.url}/{file.name}", file.content)
    return run


def open_run(storage: Storage, name: str) -> Run:
    """The existing run of this name in `storage`, of this path, or of this job, fetched.

    Raises InputError when there is none.
    """
    check_place(name, "run")
    if "/" not in name and (run := run_at(storage, name)).exists():
        return run.fetch()
    return find_run(name, storage)


def list_runs(storage: Storage, prefix: str = "") -> list[Run]:
    """Every run directly under `storage` whose name begins with `prefix`, by name; those in object storage are fetched.

    Raises InputError.
    """
    check_place(str(storage), "--storage")
    if not mirror.is_remote(str(storage)):
        runs = [Run(file.parent) for file in sorted(Path(storage).glob("*/experiment.yaml"))]
        return [run for run in runs if run.name.startswith(prefix)]
    names = [name for name in mirror.children(str(storage)) if name.startswith(prefix)]
    runs = [run_at(storage, name).fetch() for name in names]
    return [run for run in runs if run.experiment_file.is_file()]


def free_name(storage: Storage, name: str) -> str:
    """`name`, or `name-2`, `name-3`, …: the first that no run in `storage` has."""
    names = (name if i == 1 else f"{name}-{i}" for i in range(1, 1_000_000))
    return next(free for free in names if not run_at(storage, free).exists())

"""Whether a run's own Python file may be executed: it equals a file of the user's, or the user gave --trust."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from cifake_ray.console import warn
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, ModelSettings, OwnFile, read_own_file
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.run import Run
from cifake_ray.storage.cache import cache_root

M = TypeVar("M", bound=ModelSettings)


def run_experiment(run: Run) -> Experiment:
    """The experiment of a run with the Python file of its model. Raises InputError as `run_model` does."""
    experiment = run.experiment()
    return experiment.model_copy(update={"model": run_model(run, experiment.model)})


def run_model(run: Run, model: M) -> M:
    """The model of a run with the run's Python file; models of this package come back as they are.

    Raises InputError when the file is missing, is not the one that the run began with, or may not be executed.
    """
    if not model.own_file_path:
        return model
    file = read_own_file(run.path / Path(model.own_file_path).name, of_run=True)
    if model.own_file_sha256 not in (None, file.sha256):
        changed = f"{file.path}: SHA-256 {file.sha256}, and the run was made with {model.own_file_sha256}"
        if not run.trusted:
            raise InputError(changed, "put that file back, or read this one and give --trust to run it")
        warn(f"{changed}; the file as it is now runs, because --trust was given")
    return _with_trusted(model, file, run.trusted)


def trusted_experiment(experiment: Experiment, trust: bool) -> Experiment:
    """The experiment, whose Python file may be executed. Raises InputError for an untrusted file of a run."""
    file = experiment.model.own_file
    if file is None or file.trusted:
        return experiment
    return experiment.model_copy(update={"model": _with_trusted(experiment.model, file, trust)})


def keep_file(run: Run, model: M) -> M:
    """Copy the Python file of a model into the run; return the model as it names the copy.

    Where another file of that name lies there, of another model of the run, the copy's name gets a part of its hash.
    """
    file = model.own_file
    if file is None:
        return model
    place = run.path / file.name
    if place.exists() and place.read_bytes() != file.content:
        place = place.with_name(f"{place.stem}-{file.sha256[:8]}.py")
    write_bytes(place, file.content)
    return model.with_file(replace(file, path=str(place)))


def remember_file(file: OwnFile) -> None:
    """Note the path of a Python file that the user named in an experiment, so that a run's equal copy is trusted."""
    path = str(Path(file.path).absolute())
    if file.of_run or path in _remembered():
        return
    note = _note()
    note.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(note, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "a") as stream:
        stream.write(f"{path}\n")


def _with_trusted(model: M, file: OwnFile, trust: bool) -> M:
    if not trust and file.sha256 not in _known_hashes():
        raise InputError(
            f"{file.path}: a run's own Python file is not run: its SHA-256 {file.sha256} is that of no file which you "
            "have tuned or trained from here",
            "read the file, then give --trust to run it",
        )
    return model.with_file(replace(file, trusted=True))


def _note() -> Path:
    """The list of paths; one for each user, as a cache folder may be shared."""
    return cache_root() / f"python-files-{os.getuid()}.txt"


def _remembered() -> list[str]:
    """Paths that this user noted; none where another user could have written the list."""
    note = _note()
    try:
        status = note.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            return []
        return note.read_text().splitlines()
    except OSError:
        return []


def _known_hashes() -> Iterator[str]:
    """SHA-256 of every file of the user's, as the file is now."""
    for path in _remembered():
        try:
            yield read_own_file(Path(path)).sha256
        except InputError:  # gone, or no Python any more
            continue

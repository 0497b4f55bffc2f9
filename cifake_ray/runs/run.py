"""The run directory, in a folder or object storage: names, columns, atomic writes, the writer's lock."""

import difflib
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import filelock

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, parse_yaml, save_experiment, validate_experiment
from cifake_ray.runs.lock import claimed
from cifake_ray.storage import mirror
from cifake_ray.storage.mirror import check_place

DEFAULT_STORAGE = "results/runs"
Storage = str | Path  # a folder, or the address of object storage: s3://bucket/prefix
COMMIT_VARIABLE = "CIFAKE_RAY_COMMIT"  # tells a job the commit of the checkout that it was submitted from
Status = Literal["running", "completed", "stopped", "failed", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)
FINISHED = ("completed", "stopped", "failed")  # what `--trials` counts
LABELS = ("FAKE", "REAL")  # label 0, label 1: the order in which an image-folder loader names them
POSITIVE = "FAKE"  # the positive class of F1, AUC and every probability that is stored

_JOB_SUFFIX = re.compile(r"-[0-9a-f]{6}$")  # a job is called STUDY-123abc
_CHECKPOINTS = ("trials", "winners")  # folders that trials put and fetch themselves

_TRIAL_TAIL = (
    "epochs", "best_epoch", "train_accuracy", "val_accuracy", "val_loss", "seconds", "cpu_seconds", "error",
)  # fmt: skip
CURVE_COLUMNS = (
    "trial_id", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
)  # fmt: skip
TIMELINE_COLUMNS = ("trial_id", "start", "end")  # a row each time that a trial was worked on; seconds


def trial_columns(fields: Sequence[str]) -> list[str]:
    """The columns of trials.csv for an experiment with these `trial_fields`, in order."""
    return ["trial_id", "status", *fields, *_TRIAL_TAIL]


@dataclass(frozen=True)
class Run:
    """One run directory. The properties name its files; none of them needs to exist yet.

    A run in object storage has its `url` there, and `path` is its mirror on this machine: `pull` before reading, `push`
    after writing. Both do nothing for a run that is a folder.
    """

    path: Path
    url: str | None = None

    @property
    def where(self) -> str:
        """The run for people: its address, or its folder."""
        return self.url or str(self.path)

    @property
    def storage(self) -> str:
        """What holds this run: the user's `--storage`."""
        return self.url.rpartition("/")[0] if self.url else str(self.path.parent)

    def here(self) -> "Run":
        """The same run in a process that may run on another machine, whose mirror lies elsewhere."""
        return self if self.url is None else run_at(self.storage, self.name)

    def exists(self) -> bool:
        return self.experiment_file.is_file() if self.url is None else mirror.exists(f"{self.url}/experiment.yaml")

    def push(self, folder: str | None = None) -> None:
        """Put what has changed: of one folder, or of all but the checkpoints of trials and retrainings."""
        if self.url is not None and folder is not None:
            mirror.put(f"{self.url}/{folder}", self.path / folder)
        elif self.url is not None:
            mirror.put(self.url, self.path, leave=_CHECKPOINTS)

    def pull(self, folder: str | None = None) -> None:
        """Fetch what is newer: of one folder, or of all but the checkpoints of trials and retrainings."""
        if self.url is not None and folder is not None:
            mirror.fetch(f"{self.url}/{folder}", self.path / folder)
        elif self.url is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            mirror.fetch(self.url, self.path, leave=_CHECKPOINTS)

    def mark(self, name: str) -> None:
        """Make an empty file of the run that processes on every node see."""
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
        if self.url is not None:
            mirror.write_bytes(f"{self.url}/{name}", b"")

    def marked(self, name: str) -> bool:
        """Whether any node has made this file."""
        return (self.path / name).exists() or (self.url is not None and mirror.exists(f"{self.url}/{name}"))

    def remove(self, name: str) -> None:
        """Remove a file or folder of the run, wherever it lies."""
        place = self.path / name
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)
        if self.url is not None:
            mirror.remove(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def experiment_file(self) -> Path:
        return self.path / "experiment.yaml"

    @property
    def environment_file(self) -> Path:
        return self.path / "environment.json"

    @property
    def journal(self) -> Path:
        return self.path / "study.journal"

    @property
    def trials_file(self) -> Path:
        return self.path / "trials.csv"

    @property
    def curves_file(self) -> Path:
        return self.path / "curves.csv"

    @property
    def timeline_file(self) -> Path:
        return self.path / "timeline.csv"

    @property
    def trials(self) -> Path:
        return self.path / "trials"

    @property
    def winners(self) -> Path:
        """Checkpoints of the retrained winner and baseline; removed once `best` and `test.json` are written."""
        return self.path / "winners"

    @property
    def winners_file(self) -> Path:
        """What each retraining reached, before the test part is touched."""
        return self.path / "winners.json"

    @property
    def best(self) -> Path:
        return self.path / "best"

    @property
    def threshold_file(self) -> Path:
        """Version 0.1's threshold of the best model; kept where it is, not used any more: 0.5 decides."""
        return self.best / "threshold.json"

    @property
    def test_file(self) -> Path:
        return self.path / "test.json"

    @property
    def predictions_file(self) -> Path:
        return self.path / "test_predictions.npz"

    @property
    def robustness_file(self) -> Path:
        """How the best model does on degraded test images."""
        return self.path / "robustness.json"

    @property
    def evaluations(self) -> Path:
        """One JSON file for each other labelled set that the best model was scored on."""
        return self.path / "evaluations"

    @property
    def explanations(self) -> Path:
        """Pictures of the test images that the best model gets most wrong, with explain.json."""
        return self.path / "explain"

    @property
    def explanations_file(self) -> Path:
        """What the pictures in `explanations` show."""
        return self.explanations / "explain.json"

    def experiment(self) -> Experiment:
        """The resolved experiment of this run. Raises InputError when it is missing or damaged."""
        try:
            text = self.experiment_file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"{self.where}: not a run directory (no {self.experiment_file.name}); `cifake-ray runs` lists them"
            ) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise InputError(
                f"{self.experiment_file}: cannot be read ({reason}); put it back from a copy of the run"
            ) from error
        tree = parse_yaml(text, str(self.experiment_file))
        if not isinstance(tree, dict):
            raise InputError(f"{self.experiment_file}: damaged, no keys in it; put it back from a copy of the run")
        return validate_experiment(tree, str(self.experiment_file))


def in_job() -> bool:
    """Whether this process was started as a Ray job, by Ray itself."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def resume_command(name: str, storage: Storage) -> str:
    """The command that resumes a run, to be typed by its owner: as a job again, if it was one."""
    place = [] if str(storage) == str(DEFAULT_STORAGE) else ["--storage", str(storage)]
    return shlex.join(["cifake-ray", "submit" if in_job() else "tune", "--resume", name, *place])


def interrupted_line(run: Run, done: str = "") -> str:
    """The last line of an interrupted command: what was `done`, where it is, how to resume."""
    return f"interrupted{done}; everything is in {run.where}; resume with: {resume_command(run.name, run.storage)}"


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, or was submitted from; None for an installed one."""
    if (submitted := os.environ.get(COMMIT_VARIABLE)) is not None:
        return submitted or None
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def run_at(storage: Storage, name: str) -> Run:
    """The run of this name in `storage`, whether it exists or not; nothing is fetched.

    Raises InputError when the storage or the name cannot be one.
    """
    check_place(str(storage), "--storage")
    if mirror.is_remote(str(storage)):
        url = str(storage).rstrip("/")
        return Run(mirror.mirror(url) / name, f"{url}/{name}")
    check_place(str(Path(storage) / name), "run")
    return Run(Path(storage) / name)


def find_run(place: str | Path, storage: Storage = DEFAULT_STORAGE) -> Run:
    """The run that a command line names: its folder, its address, its name in `storage`, or the id of its job.

    A run in object storage is fetched. Raises InputError, naming the runs there are, when no run is meant.
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
            run.pull()
            return run
    if candidates[0].url is not None or Path(name).is_dir():
        candidates[0].experiment()
    raise InputError(_no_run(name, storage))


def _no_run(name: str, storage: Storage) -> str:
    """The line for a run that is not there."""
    known = [run.name for run in list_runs(storage)]
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    meant = f"; did you mean {close[0]}?" if close else ""
    pattern = "; the shell found no run of this pattern" if any(sign in name for sign in "*?[") else ""
    place = storage if mirror.is_remote(str(storage)) else Path(storage).absolute()
    return f"{name}: no such run{pattern}; runs in {place}: {', '.join(known) or 'none'}{meant}"


def create_run(storage: Storage, name: str, experiment: Experiment) -> Run:
    """A new run with its experiment.yaml.

    Raises InputError when a run of this name exists, or the storage cannot be written.
    """
    run = run_at(storage, name)
    if run.exists():
        raise InputError(
            f"{run.where}: a run of this name exists; resume it with `{resume_command(name, storage)}`, "
            "or choose another --name"
        )
    try:
        if run.url is not None:
            shutil.rmtree(run.path, ignore_errors=True)  # the mirror of a run that is gone
        run.path.mkdir(parents=True, exist_ok=True)
        write_text(run.experiment_file, save_experiment(experiment))
    except OSError as error:
        raise InputError(f"{storage}: cannot be written ({error.strerror}); choose another --storage") from error
    run.push()
    return run


def open_run(storage: Storage, name: str) -> Run:
    """The existing run of this name in `storage`, of this path, or of this job, fetched.

    Raises InputError when there is none.
    """
    check_place(name, "run")
    if "/" not in name and (run := run_at(storage, name)).exists():
        run.pull()
        return run
    return find_run(name, storage)


def list_runs(storage: Storage) -> list[Run]:
    """Every run directly under `storage`, by name; those in object storage are fetched. Raises InputError."""
    check_place(str(storage), "--storage")
    if not mirror.is_remote(str(storage)):
        return [Run(file.parent) for file in sorted(Path(storage).glob("*/experiment.yaml"))]
    runs = [run_at(storage, name) for name in mirror.children(str(storage))]
    for run in runs:
        run.pull()
    return [run for run in runs if run.experiment_file.is_file()]


def free_name(storage: Storage, name: str) -> str:
    """`name`, or `name-2`, `name-3`, …: the first that no run in `storage` has."""
    names = (name if i == 1 else f"{name}-{i}" for i in range(1, 1_000_000))
    return next(free for free in names if not run_at(storage, free).exists())


@contextmanager
def writing(run: Run) -> Iterator[None]:
    """Be the run's only writer; freed when the process dies. What was written is pushed at the end.

    Raises InputError when another process is.
    """
    lock = filelock.FileLock(run.path / ".lock", timeout=0)
    taken = f"{run.where}: another process is writing this run; wait for it or choose another --name"
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(taken) from error
    except OSError as error:
        raise InputError(f"{run.where}: cannot be written ({error.strerror}); make it writable first") from error
    try:
        with claimed(run.url, taken) if run.url is not None else nullcontext():
            yield
            run.push()
    finally:
        lock.release()


def write_text(file: Path, text: str) -> None:
    """Replace `file` by `text` in one step: a reader, or a crash, sees the old text or the new one."""
    write_bytes(file, text.encode())


def write_json(file: Path, value: Any) -> None:
    """Replace `file` by `value` as JSON, in one step. NaN and infinity are errors: JSON has neither."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_bytes(file: Path, data: bytes) -> None:
    """Replace `file` by `data` in one step, on disk before it is in place."""
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        with suppress(OSError):  # gone with its folder
            os.unlink(temporary)
        raise

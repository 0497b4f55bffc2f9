"""The run directory: names, columns, atomic writes, the writer's lock. Tuning and evaluation write it, all read it."""

import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import filelock

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, parse_yaml, save_experiment, validate_experiment

DEFAULT_STORAGE = Path("results/runs")
COMMIT_VARIABLE = "CIFAKE_RAY_COMMIT"  # tells a job the commit of the checkout that it was submitted from
Status = Literal["running", "completed", "stopped", "failed", "interrupted"]
STATUSES: tuple[str, ...] = get_args(Status)
FINISHED = ("completed", "stopped", "failed")  # what `--trials` counts
LABELS = ("FAKE", "REAL")  # label 0, label 1: the order in which an image-folder loader names them
POSITIVE = "FAKE"  # the positive class of F1, AUC and every probability that is stored

_TRIAL_TAIL = (
    "epochs", "best_epoch", "train_accuracy", "val_accuracy", "val_loss", "seconds", "cpu_seconds", "error",
)  # fmt: skip
CURVE_COLUMNS = (
    "trial_id", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate", "seconds",
)  # fmt: skip


def trial_columns(dimensions: Sequence[str]) -> list[str]:
    """The columns of trials.csv for a search space with these names, in order."""
    return ["trial_id", "status", *dimensions, *_TRIAL_TAIL]


@dataclass(frozen=True)
class Run:
    """One run directory. The properties name its files; none of them needs to exist yet."""

    path: Path

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
    def test_file(self) -> Path:
        return self.path / "test.json"

    @property
    def predictions_file(self) -> Path:
        return self.path / "test_predictions.npz"

    def experiment(self) -> Experiment:
        """The resolved experiment of this run. Raises InputError when it is missing or damaged."""
        try:
            text = self.experiment_file.read_text()
        except OSError as error:
            raise InputError(
                f"{self.path}: not a run directory (no {self.experiment_file.name}); `cifake-ray runs` lists them"
            ) from error
        return validate_experiment(parse_yaml(text, str(self.experiment_file)), str(self.experiment_file))

    def read_json(self, file: Path) -> dict[str, Any]:
        """The JSON object in one of the run's files, or {} when it is not written yet."""
        try:
            loaded = json.loads(file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise InputError(f"{file}: not valid JSON ({error}); remove it and `tune --resume {self.name}`") from error
        return loaded if isinstance(loaded, dict) else {}


def in_job() -> bool:
    """Whether this process was started as a Ray job, by Ray itself."""
    return "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ


def resume_command(name: str, storage: Path | str) -> str:
    """What goes on with a run, to be typed by its owner: as a job again, if it was one."""
    place = [] if str(storage) == str(DEFAULT_STORAGE) else ["--storage", str(storage)]
    return shlex.join(["cifake-ray", "submit" if in_job() else "tune", "--resume", name, *place])


def git_commit() -> str | None:
    """The commit of the checkout that this package runs from, or was submitted from; None for an installed one."""
    if (submitted := os.environ.get(COMMIT_VARIABLE)) is not None:
        return submitted or None
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def create_run(storage: Path, name: str, experiment: Experiment) -> Run:
    """A new run directory with its experiment.yaml.

    Raises InputError when a run of this name exists, or the storage cannot be written.
    """
    run = Run(storage / name)
    if run.experiment_file.exists():
        raise InputError(
            f"{run.path}: a run of this name exists; go on with `{resume_command(name, storage)}`, "
            "or choose another --name"
        )
    try:
        run.path.mkdir(parents=True, exist_ok=True)
        write_text(run.experiment_file, save_experiment(experiment))
    except OSError as error:
        raise InputError(f"{storage}: cannot be written ({error.strerror}); choose another --storage") from error
    return run


def open_run(storage: Path, name: str) -> Run:
    """The existing run of this name, or of this path. Raises InputError when there is none."""
    for path in (storage / name, Path(name)):
        if (path / "experiment.yaml").is_file():
            return Run(path)
    known = ", ".join(run.name for run in list_runs(storage)) or "none"
    raise InputError(f"{storage / name}: no such run; runs in {storage}: {known}")


def list_runs(storage: Path) -> list[Run]:
    """Every run directory directly under `storage`, by name."""
    return [Run(file.parent) for file in sorted(storage.glob("*/experiment.yaml"))]


def free_name(storage: Path, name: str) -> str:
    """`name`, or `name-2`, `name-3`, …: the first that no run in `storage` has."""
    names = (name if i == 1 else f"{name}-{i}" for i in range(1, 1_000_000))
    return next(free for free in names if not (storage / free / "experiment.yaml").exists())


@contextmanager
def writing(run: Run) -> Iterator[None]:
    """Be the run's only writer; freed when the process dies. Raises InputError when another process is."""
    lock = filelock.FileLock(run.path / ".lock", timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise InputError(
            f"{run.path}: another process is writing this run; wait for it or choose another --name"
        ) from error
    try:
        yield
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
        os.unlink(temporary)
        raise

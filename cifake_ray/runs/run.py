"""The run directory, in a folder or object storage: its files, and its one writer at a time."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, parse_yaml, validate_experiment
from cifake_ray.runs.claim import EXPIRES, Claim
from cifake_ray.runs.lock import locked
from cifake_ray.runs.resume import Storage, resume_command
from cifake_ray.signals import leave
from cifake_ray.storage import mirror
from cifake_ray.storage.mirror import check_place

_CHECKPOINTS = ("trials", "winners")  # folders that trials put and fetch themselves
Save = Callable[[], None]  # puts what has changed; does nothing for a run that is a folder


def _nothing() -> None:
    """Nothing to put: the run is a folder."""


@dataclass(frozen=True)
class Checkpoints:
    """A folder of checkpoints on this machine; `url`: where `save` puts what has changed in it."""

    path: Path
    url: str | None

    def save(self) -> None:
        """Put what has changed."""
        if self.url is not None:
            mirror.put(self.url, self.path)


@dataclass(frozen=True)
class Run:
    """One run directory. The properties name its files; no file needs to exist yet.

    A run in object storage has its `url` there, and `path` is its mirror on this machine: `runs.names` fetches the runs
    that it finds, and `update` puts what the run's writer has changed. `trusted`: the user lets the run's own Python
    file be executed, whatever is in it (`runs/trust.py`).
    """

    path: Path
    url: str | None = None
    trusted: bool = field(default=False, compare=False)

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

    def trusting(self, trusted: bool = True) -> "Run":
        """The same run, whose own Python file may (or may not) be executed."""
        return replace(self, trusted=trusted)

    def exists(self) -> bool:
        return self.experiment_file.is_file() if self.url is None else mirror.exists(f"{self.url}/experiment.yaml")

    def fetch(self) -> "Run":
        """Bring the mirror up to date in all but the checkpoints of trials and retrainings; return the run."""
        if self.url is not None:
            self.path.mkdir(parents=True, exist_ok=True)
            mirror.fetch(self.url, self.path, leave=_CHECKPOINTS)
        return self

    @contextmanager
    def update(self) -> Iterator[Save]:
        """Hold the run as its only writer: fetch it first, and put what has changed at the end, after an error too.

        Yields a function that puts what has changed meanwhile. The run is freed when the process dies.
        Raises InputError when another process is the writer.
        """
        taken = InputError(f"{self.where}: another process is writing this run", "wait for it or choose another --name")
        with locked(self.path, self.where, taken):
            if self.url is None:
                yield _nothing
                return
            with Claim(self.url, taken, self._taken_over) as claim:
                self.fetch()
                save = partial(self._put, self.url, claim)
                try:
                    yield save
                finally:
                    save()

    def _put(self, url: str, claim: Claim) -> None:
        claim.check()
        mirror.put(url, self.path, leave=_CHECKPOINTS)

    def _taken_over(self) -> NoReturn:
        """End this process, which slept while another one became the writer: nothing more may be put."""
        mirror.mark_behind(self.path)
        leave(
            f"interrupted: another process has taken over {self.where}, as this one did not renew its claim for "
            f"{EXPIRES:.0f} s; once that process has ended, resume with: {resume_command(self.name, self.storage)}",
            130,
        )

    def checkpoints(self, folder: str) -> "Checkpoints":
        """The checkpoints of one trial or retraining (or, to be read, of all of these), fetched where newer."""
        found = Checkpoints(self.path / folder, None if self.url is None else f"{self.url}/{folder}")
        if found.url is not None:
            mirror.fetch(found.url, found.path)
        return found

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

    def set_aside(self, names: Sequence[str], folder: str) -> list[str]:
        """Move these files and folders of the run into a new folder of the run; return those that were there."""
        there = [name for name in names if (self.path / name).exists()]
        for name in there:
            target = self.path / folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).rename(target)
            self.remove(name)
        return there

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
    def warm_start_file(self) -> Path:
        """What the study knew of other studies before its first trial."""
        return self.path / "warm_start.json"

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
        """Version 0.1's threshold of the best model; kept, and no longer used: 0.5 decides."""
        return self.best / "threshold.json"

    @property
    def test_file(self) -> Path:
        return self.path / "test.json"

    @property
    def blend_file(self) -> Path:
        """Of a blend: its members and their weights; a study has none."""
        return self.path / "blend.json"

    @property
    def predictions_file(self) -> Path:
        return self.path / "test_predictions.npz"

    @property
    def validation_file(self) -> Path:
        """Each retraining's logits of the validation pictures."""
        return self.path / "val_predictions.npz"

    @property
    def verdicts_file(self) -> Path:
        """What the verdict rule of the best model gave on the test part."""
        return self.path / "verdicts.json"

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
        """The resolved experiment of this run, without the Python file of its model (`runs.trust.run_model`).

        Raises InputError when it is missing or damaged.
        """
        try:
            text = self.experiment_file.read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(
                f"{self.where}: not a run directory (no {self.experiment_file.name})", "`cifake-ray runs` lists them"
            ) from error
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
            raise InputError(
                f"{self.experiment_file}: cannot be read ({reason})", "put it back from a copy of the run"
            ) from error
        tree = parse_yaml(text, str(self.experiment_file))
        if not isinstance(tree, dict):
            raise InputError(f"{self.experiment_file}: damaged, no keys in it", "put it back from a copy of the run")
        return validate_experiment(tree, str(self.experiment_file))


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

"""Experiments by file or name, with the settings of the command line and the environment applied."""

import difflib
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from cifake_ray.console import shortened
from cifake_ray.errors import InputError

_SCHEMA_LINE = "# yaml-language-server: $schema="  # how editors find a YAML file's schema


def load_named(
    name: str | None,
    *,
    data: str | None,
    trials: int | None,
    seed: int | None,
    settings: list[str],
    trust: bool = False,
) -> Any:
    """The experiment with, in rising precedence: YAML, environment, --set, options.

    trust: whether the Python file that lies in a run may be run.
    """
    from cifake_ray.experiment import load_experiment
    from cifake_ray.runs.trust import trusted_experiment

    if name is None:
        raise InputError("an EXPERIMENT is missing", "`cifake-ray spaces` lists the ones that ship with the program")
    environment = os.environ.get("CIFAKE_RAY_DATA")
    options = {"data.source": data, "search.trials": trials, "training.seed": seed}
    overrides = [f"data.source={json.dumps(environment)}"] if environment else []
    overrides += [*settings, *(f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None)]
    return trusted_experiment(load_experiment(find_experiment(name), overrides, images_named=True), trust)


def find_experiment(name: str) -> Path:
    """The file of this path, or of the shipped experiment of this name. Raises InputError for a name of neither."""
    path = Path(name)
    shipped = {experiment_name(file): file for file in shipped_experiments()}
    found = shipped.get(name) or shipped.get(path.stem if path.suffix == ".yaml" and path.name == name else "")
    try:
        if found is not None and not path.is_file():
            return found
        if path.suffix or len(path.parts) > 1 or path.exists():
            return path
    except OSError as error:  # a name too long for any file
        raise InputError(
            f"{shortened(name, 80)}: cannot be read ({error.strerror})", f"there are {', '.join(shipped)}"
        ) from error
    close = difflib.get_close_matches(name, shipped, n=1, cutoff=0.5)
    meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(shipped)}"
    raise InputError(f"{name}: no file, and no experiment that ships with the program", meant)


def experiment_name(file: Path) -> str:
    """The name that a shipped file gives its experiment."""
    return next(line.partition(":")[2].strip() for line in file.read_text().splitlines() if line.startswith("name:"))


def experiment_text(file: Path) -> str:
    """Text of an experiment's file without the first line, whose schema lies beside the file alone."""
    from cifake_ray.experiment.file import read_text

    lines = read_text(file).splitlines(keepends=True)
    return "".join(lines[1:] if lines and lines[0].startswith(_SCHEMA_LINE) else lines)


def experiment_about(file: Path) -> str:
    """The first sentence of a shipped file's comment that is no command."""
    lines = [line.removeprefix("#").strip() for line in experiment_text(file).splitlines() if line.startswith("#")]
    text = " ".join(line for line in lines if line and not line.startswith("cifake-ray "))
    return textwrap.shorten(text.partition(". ")[0].rstrip("."), 100, placeholder=" …")


def is_run(what: str, storage: str) -> bool:
    """Whether `what` is a run, or a name most like a run's; a shipped experiment precedes a run of the same name."""
    from cifake_ray.runs.names import list_runs
    from cifake_ray.runs.run import run_at
    from cifake_ray.storage.mirror import check_place, is_remote

    check_place(what, "EXPERIMENT or RUN")
    if is_remote(what) or (Path(what) / "experiment.yaml").is_file():
        return True
    shipped = {experiment_name(file) for file in shipped_experiments()}
    if "/" in what or what in shipped or Path(what).suffix == ".yaml" or Path(what).exists():
        return False
    if run_at(storage, what).exists():
        return True
    runs = [run.name for run in list_runs(storage)]
    close = difflib.get_close_matches(what, [*shipped, *runs], n=1, cutoff=0.5)
    return bool(close) and close[0] not in shipped


def load_new(
    resume: str | None,
    experiment: str | None,
    *,
    name: str | None,
    data: str | None,
    trials: int | None,
    trust: bool,
    warm_start: list[str] | None,
    **others: Any,
) -> Any:
    """The experiment of a new study, or None with `resume`. Raises InputError for options of both."""
    if resume is None:
        return load_named(experiment, data=data, trials=trials, trust=trust, **others)
    if warm_start:
        raise InputError("--resume: a study is warm-started once, when it begins", "leave out --warm-start")
    if any(option not in (None, []) for option in (experiment, name, *others.values())):
        raise InputError(
            "--resume: the run has its own experiment", "give --storage, --data, --trials, --address and --trust only"
        )
    return None


def shipped_experiments() -> list[Path]:
    """The YAML files that ship with the program: inside the wheel, or beside the package in a checkout."""
    here = Path(__file__).parent.parent
    folder = here / "search_spaces" if (here / "search_spaces").is_dir() else here.parent / "search_spaces"
    return sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))

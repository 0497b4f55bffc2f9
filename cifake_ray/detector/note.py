"""Read and check model.json without torch; and the errors of a run without a usable model."""

import json
from pathlib import Path
from typing import Any

import filelock

from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS, POSITIVE
from cifake_ray.runs.records import SCHEMA, ModelNote
from cifake_ray.runs.resume import resume_command
from cifake_ray.runs.run import Run

NOTE_FILE, WEIGHTS_FILE = "model.json", "model.safetensors"


def read_model_note(run: Run) -> ModelNote:
    """The note beside the run's best model.

    Raises InputError when there is no model, when the note is damaged, or when another program wrote it.
    """
    file = run.best / NOTE_FILE
    if not file.is_file() or not (run.best / WEIGHTS_FILE).is_file():
        raise _no_model(run)
    try:
        written = json.loads(file.read_text())
        _check_transform(written, file)
        note = ModelNote.parse(written)
    except (OSError, ValueError) as error:
        raise damaged(run, f"{file} cannot be read") from error
    if note.schema_version != SCHEMA:
        raise InputError(f"{file}: schema {note.schema_version}, this version reads {SCHEMA}", "update cifake-ray")
    if note.labels != list(LABELS) or note.positive_class != POSITIVE:
        raise InputError(
            f"{file}: labels {note.labels!r} with positive class {note.positive_class!r}",
            f"expected {list(LABELS)} with {POSITIVE}: probabilities would be the wrong way round",
        )
    return note


def _check_transform(written: Any, file: Path) -> None:
    """Raise InputError for a transform that this version does not know, whatever else the note holds."""
    noted = written.get("transform") if isinstance(written, dict) else None
    name = noted.get("name") if isinstance(noted, dict) else None
    if not isinstance(name, str) or not name:
        return
    try:
        Transform.named(name)
    except ValueError as error:
        raise InputError(
            f"{file}: the model sees pictures under the transform {name}, which this version does not have",
            "update cifake-ray",
        ) from error


def damaged(run: Run, what: str) -> InputError:
    """The error of a damaged model: what is wrong, and how to restore the model."""
    if run.blend_file.exists():
        return InputError(what, "copy the run again, or make the blend again under another --name")
    if is_published(run):
        return InputError(what, "copy the published run again")
    return InputError(what, f"restore it with `{resume_command(run.name, run.storage)}`")


def is_published(run: Run) -> bool:
    """Whether this is what `report --with-runs` copied: a tested run without its journal."""
    return run.test_file.exists() and not run.journal.exists()


def _no_model(run: Run) -> InputError:
    run.experiment()  # raises for a folder that is no run
    if run.blend_file.exists():
        return InputError(f"{run.best}: the models of this blend are not there", "copy the whole run, or blend again")
    if is_published(run):
        return InputError(
            f"{run.where}: the weights of this model were not published",
            f"train it again with `cifake-ray train {run.where} --data DATA`",
        )
    if _is_running(run):
        return InputError(f"{run.where}: the study is still running and has no model yet", "wait for its end")
    finish = resume_command(run.name, run.storage)
    return InputError(f"{run.best}: no trained model there", f"finish the study with `{finish}`")


def _is_running(run: Run) -> bool:
    """Whether another process writes the run."""
    if not (run.path / ".lock").exists():
        return False
    try:
        with filelock.FileLock(run.path / ".lock", timeout=0):
            return False
    except filelock.Timeout:
        return True
    except OSError:
        return False

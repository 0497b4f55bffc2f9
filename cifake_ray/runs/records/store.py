"""The records of a run, read and written: an unwritten file reads as the empty record of its class."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from cifake_ray.errors import InputError
from cifake_ray.runs.files import write_json
from cifake_ray.runs.records import (
    BlendNote,
    Calibrated,
    Environment,
    Evaluation,
    Explanations,
    Record,
    Robustness,
    Verdicts,
    WarmStart,
    Winners,
)
from cifake_ray.runs.resume import resume_command
from cifake_ray.runs.run import Run

R = TypeVar("R", bound=Record)


@dataclass(frozen=True)
class Records:
    """The records of one run, each of them empty before its file is written.

    test: before the test, what winners.json holds; evaluations: by the names of their files; calibrated: of model.json,
    what concerns the calibration of the model in best/.
    """

    environment: Environment
    test: Winners
    robustness: Robustness
    evaluations: tuple[Evaluation, ...]
    explanations: Explanations
    blend: BlendNote
    calibrated: Calibrated
    verdicts: Verdicts


def read_record(run: Run, file: Path, kind: type[R]) -> R:
    """The record in one of the run's files; empty when the file is not written yet.

    Raises InputError when the file is damaged: no JSON object, or a key of another type.
    """
    try:
        return kind.parse(json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return kind.parse({})
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(getattr(error, "strerror", None) or error).split())[:200]
        raise InputError(
            f"{file}: damaged ({reason})",
            f"put it back from a copy of the run, or remove it and run `{resume_command(run.name, run.storage)}`",
        ) from error


def write_record(file: Path, record: Record) -> None:
    """Replace `file` by the record, in one step. Raises ValueError for NaN and infinity."""
    write_json(file, record.as_json())


def read_environment(run: Run) -> Environment:
    """environment.json. Raises InputError as `read_record` does, like every function below."""
    return read_record(run, run.environment_file, Environment)


def read_warm_start(run: Run) -> WarmStart:
    """warm_start.json; empty of a study that began from nothing."""
    return read_record(run, run.warm_start_file, WarmStart)


def read_blend(run: Run) -> BlendNote:
    """blend.json; empty of a study."""
    return read_record(run, run.blend_file, BlendNote)


def read_winners(run: Run) -> Winners:
    """winners.json: retrained, waiting for the test; empty again once the test is done."""
    return read_record(run, run.winners_file, Winners)


def read_tested(run: Run) -> Winners:
    """test.json."""
    return read_record(run, run.test_file, Winners)


def read_retrained(run: Run) -> Winners:
    """test.json; before the test, winners.json."""
    return read_tested(run) if run.test_file.exists() else read_winners(run)


def read_records(run: Run) -> Records:
    """What the run's JSON files hold, without the settings of the model."""
    return Records(
        environment=read_environment(run),
        test=read_retrained(run),
        robustness=read_record(run, run.robustness_file, Robustness),
        evaluations=tuple(read_record(run, file, Evaluation) for file in sorted(run.evaluations.glob("*.json"))),
        explanations=read_record(run, run.explanations_file, Explanations),
        blend=read_blend(run),
        calibrated=read_record(run, run.best / "model.json", Calibrated),
        verdicts=read_record(run, run.verdicts_file, Verdicts),
    )

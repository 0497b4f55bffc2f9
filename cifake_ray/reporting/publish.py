"""The files behind a report's figures, to be committed beside it; and whether the figures still follow from them."""

import io
from collections.abc import Sequence
from pathlib import Path, PurePath

import pandas as pd
from pandas.testing import assert_frame_equal

from cifake_ray.errors import InputError
from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.load import Study, load
from cifake_ray.runs.files import write_bytes, write_text
from cifake_ray.runs.run import Run

FOLDER = "studies"  # below the report's folder
_TEXTS = ("experiment.yaml", "environment.json", "trials.csv", "curves.csv", "timeline.csv", "test.json",
          "robustness.json", "verdicts.json", "blend.json")  # fmt: skip
_MODEL = ("best/model.json", "best/model.safetensors", "best/threshold.json")
_LARGEST_MODEL = 2_000_000  # bytes; a larger one is left where it is


def publish(studies: Sequence[Study], out: Path) -> list[Path]:
    """Copy what each figure follows from into `out/studies/<name>/`, and small models; never a picture of the data set.

    Folders of this machine are cut off the addresses of images. Returns the files written. Raises OSError.
    """
    written = []
    for study in studies:
        run, target = Run(study.path), out / FOLDER / study.name
        names = [*_TEXTS, *(f"evaluations/{file.name}" for file in sorted(run.evaluations.glob("*.json")))]
        for name in names:
            if (run.path / name).is_file():
                written.append(_prepared(target / name))
                write_text(written[-1], _without_folders(study, (run.path / name).read_text()))
        own = PurePath(study.experiment.model.own_file_path).name
        others = [run.predictions_file.name, run.validation_file.name, *([own] if own else [])]
        others += [file.name for file in run.path.glob("member*_*.py") if study.is_blend and file.name != own]
        for name in (*others, *_models(run)):
            if (run.path / name).is_file():
                written.append(_prepared(target / name))
                write_bytes(written[-1], (run.path / name).read_bytes())
    return written


def _models(run: Run) -> tuple[str, ...]:
    """The files of the model; of a large one model.json alone, from which probabilities and verdicts follow."""
    weights = run.path / _MODEL[1]
    return _MODEL if weights.is_file() and weights.stat().st_size <= _LARGEST_MODEL else _MODEL[:1]


def _prepared(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def _without_folders(study: Study, text: str) -> str:
    """`/home/me/cifake` as `cifake`: where the images, the run and its storage lay is left out."""
    records = study.records
    known = [records.environment.data.source, study.experiment.data.source, str(study.path), str(study.path.parent)]
    known += [records.robustness.data or "", *(evaluation.data or "" for evaluation in records.evaluations)]
    known += [found.data for evaluation in records.evaluations if (found := evaluation.recalibration) is not None]
    for place in sorted({place for place in known if PurePath(place).is_absolute()}, key=len, reverse=True):
        text = text.replace(place, PurePath(place).name or "data")
    return text


def disagreements(folder: Path) -> list[str]:
    """What in a published report does not follow from the files beside it, one line each; [] when all of it does.

    Scores are computed again from test_predictions.npz, the comparison from the runs.
    """
    studies, found = [], []
    for file in sorted((folder / FOLDER).glob("*/experiment.yaml")):
        try:
            studies.append(load(file.parent))
        except InputError as error:
            found.append(str(error))
            continue
        if studies[-1].records.test.winners and studies[-1].stored is None:
            found.append(f"{studies[-1].name}: {Run(file.parent).predictions_file.name} is missing")
    if found:
        return found
    committed = pd.read_csv(folder / "comparison.csv")
    again = pd.read_csv(io.StringIO(comparison_table(in_order(studies, committed)).to_csv(index=False)))
    try:
        assert_frame_equal(committed, again, check_exact=False, rtol=1e-12)
    except AssertionError as error:
        return [f"comparison.csv: {' '.join(str(error).split())}"]
    return []


def in_order(studies: Sequence[Study], frame: pd.DataFrame) -> list[Study]:
    """The studies in the order of the table's rows."""
    names = list(dict.fromkeys(frame["study"]))
    return sorted(studies, key=lambda study: names.index(study.name) if study.name in names else len(names))

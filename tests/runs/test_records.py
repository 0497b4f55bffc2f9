"""Records: files of every version load, unknown keys stay, and what is written again is the same JSON."""

import json
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.runs.records import (
    RECORDS,
    Environment,
    Evaluation,
    Interval,
    RobustnessRow,
    Seed,
    Winner,
    Winners,
)
from cifake_ray.runs.records.store import read_record, write_record
from cifake_ray.runs.run import Run

ROOT = Path(__file__).parents[2]
RUNS = [*sorted((ROOT / "results" / "studies").iterdir()), *(ROOT / "tests" / "runs" / "v0.1").iterdir()]
FILES = [file for run in RUNS if run.name != "cache" for file in sorted(run.rglob("*.json"))]


@pytest.mark.parametrize("file", FILES, ids=lambda file: "-".join(file.relative_to(ROOT).parts[2:]))
def test_a_record_of_an_earlier_version_is_written_again_as_the_same_json(file: Path, tmp_path: Path) -> None:
    record = read_record(Run(file.parent), file, RECORDS[file.name])
    write_record(tmp_path / file.name, record)
    assert json.loads((tmp_path / file.name).read_text()) == json.loads(file.read_text())


def test_a_key_of_a_later_version_survives_loading_and_writing(tmp_path: Path) -> None:
    tree = {"schema": 1, "data": {"source": "x", "generators": {"midjourney": 3}}, "carbon": {"grams": 12.5}}
    file = tmp_path / "environment.json"
    file.write_text(json.dumps(tree))
    write_record(file, read_record(Run(tmp_path), file, Environment))
    assert json.loads(file.read_text()) == tree


def test_what_is_not_set_is_not_written() -> None:
    winner = Winner(role="tuned", trial_id=3, seeds=[Seed(seed=1, folder="winners/a", val_accuracy=0.9)])
    assert winner.as_json() == {
        "role": "tuned", "trial_id": 3, "seeds": [{"seed": 1, "folder": "winners/a", "val_accuracy": 0.9}]
    }  # fmt: skip
    assert winner.seeds[0].without("folder").as_json() == {"seed": 1, "val_accuracy": 0.9}


def test_a_record_takes_the_keys_that_another_one_has() -> None:
    noted = Evaluation.parse({"data": "a", "weights": "none", "mine": 1})
    found = noted.updated(Evaluation(weights="random", only_answer=None))
    assert found.as_json() == {"data": "a", "weights": "random", "only_answer": None, "mine": 1}
    assert noted.weights == "none"


def test_a_degradation_stands_before_its_scores_and_keeps_whole_numbers() -> None:
    row = RobustnessRow(kind="JPEG", strength=90, name="JPEG 90", images=5, accuracy=Interval(value=1.0), auc=None)
    assert json.dumps(row.as_json()) == (
        '{"kind": "JPEG", "strength": 90, "name": "JPEG 90", "images": 5, "accuracy": {"value": 1.0}, "auc": null}'
    )


@pytest.mark.parametrize(
    ("kind", "tree", "key"),
    [
        (Winners, {"winners": [{"role": "tuned", "trial_id": 1, "mean": {"test": {"auc": {"value": "1"}}}}]},
         "winners.0.mean.test.auc.value"),
        (Environment, {"data": {"test": {"FAKE": 1.5}}}, "data.test.FAKE"),
        (Environment, {"hardware": [{"cpus": True}]}, "hardware.0.cpus"),
        (Evaluation, {"skipped": ["a.jpg"]}, "skipped.0"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named_in_one_line(kind: type[Winners], tree: object, key: str, tmp_path: Path) -> None:
    file = tmp_path / "record.json"
    file.write_text(json.dumps(tree))
    with pytest.raises(InputError, match=rf"^{file}: damaged \({key}") as refused:
        read_record(Run(tmp_path), file, kind)
    assert "\n" not in str(refused.value)

"""docs/schema/: what editors and other programs read of a run and of an experiment."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from cifake_ray.runs.schema import schema_text, schemas

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "search_spaces").rglob("*.yaml"))
RUNS = [*sorted((ROOT / "results" / "studies").iterdir()), *(ROOT / "tests" / "runs" / "v0.1").iterdir()]
RECORDS = [file for run in RUNS if run.name != "cache" for file in sorted(run.rglob("*.json"))]


def schema(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "docs" / "schema" / name).read_text()))


def complaints(name: str, tree: Any) -> list[str]:
    return [f"{error.json_path}: {error.message[:100]}" for error in schema(name).iter_errors(tree)]


def test_committed_schemas_are_those_of_the_classes() -> None:
    """Else: python -m cifake_ray.runs.schema."""
    committed = {file.name: file.read_text() for file in (ROOT / "docs" / "schema").glob("*.json")}
    assert committed == {name: schema_text(found) for name, found in schemas().items()}


@pytest.mark.parametrize("name", schemas())
def test_a_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(schema(name).schema)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_shipped_experiment_names_its_schema_and_follows_it(file: Path) -> None:
    first, *others = file.read_text().splitlines()
    start, _, path = first.partition("=")
    assert start == "# yaml-language-server: $schema"
    assert (file.parent / path).resolve() == ROOT / "docs" / "schema" / "experiment.json"
    assert others[0].startswith("# cifake-ray ")
    assert complaints("experiment.json", yaml.safe_load(file.read_text())) == []


@pytest.mark.parametrize(
    ("tree", "place"),
    [
        ({"trainig": {}}, "$: Additional"),
        ({"training": {"epochs": "ten"}}, "$.training.epochs"),
        ({"training": {"optimizer": "adan"}}, "$.training.optimizer"),
        ({"search": {"trials": 0}}, "$.search.trials"),
        ({"model": {"kind": "resnet51"}}, "$.model"),
        ({"search_space": {"lr": {"type": "float", "low": 1}}}, "$.search_space.lr"),
    ],
)
def test_an_editor_finds_what_is_no_experiment(tree: dict[str, Any], place: str) -> None:
    whole = {"name": "mine", "model": {"kind": "cnn"}}
    assert complaints("experiment.json", whole) == []
    (found,) = complaints("experiment.json", whole | tree)
    assert found.startswith(place)


@pytest.mark.parametrize("file", RECORDS, ids=lambda file: "-".join(file.relative_to(ROOT).parts[2:]))
def test_records_of_earlier_versions_follow_the_schema(file: Path) -> None:
    assert complaints(file.name, json.loads(file.read_text())) == []

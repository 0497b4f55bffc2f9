"""Commands that repeat a study, read by the command line's own loader, give the recorded experiment again."""

import shlex
from pathlib import Path

import pytest

from cifake_ray.cli.find import load_named
from cifake_ray.experiment import Experiment, join_plus
from cifake_ray.reporting.load import Role, load
from cifake_ray.reporting.repeat import repeat_command, winner_command
from cifake_ray.tuning.single_trial import single_trial

from .conftest import MakeRun

RESULTS = Path(__file__).parents[2] / "results"


def parsed(command: str, folder: Path) -> Experiment:
    """What the verb of this command would run, typed in `folder`."""
    program, verb, file, *options = shlex.split(command)
    assert program == "cifake-ray"
    given = dict(zip(options[::2], options[1::2], strict=True))
    assert set(given) <= {"--name", "--data", "--workers"}
    loaded: Experiment = load_named(str(folder / file), data=given["--data"], trials=None, seed=None, settings=[])
    return single_trial(loaded, int(given.get("--workers", 0))) if verb == "train" else loaded


def without_source(experiment: Experiment) -> dict[str, object]:
    tree = experiment.model_dump(mode="json", by_alias=True)
    tree["data"].pop("source")
    return tree


@pytest.mark.parametrize("folder", sorted(RESULTS.glob("studies/*")), ids=lambda folder: folder.name)
def test_printed_command_gives_the_recorded_experiment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAKE_RAY_DATA", raising=False)
    study = load(folder)
    command = repeat_command(study)
    assert command.endswith("--data CIFAKE")
    assert without_source(parsed(command, RESULTS)) == without_source(study.experiment)


def test_command_of_a_run_of_ones_own_names_its_images_and_file(make_run: MakeRun) -> None:
    run = make_run(generated=True)
    study = load(run)
    command = repeat_command(study)
    assert command == f"cifake-ray tune {run}/experiment.yaml --name cnn-again --data sample"
    assert parsed(command, Path("/")) == study.experiment


RETRAINED = [
    *sorted(RESULTS.glob("studies/*")),
    *(RESULTS.parent / "tests/runs/v0.1" / n for n in ("finished", "frozen")),
]


@pytest.mark.parametrize("role", ["tuned", "baseline"])
@pytest.mark.parametrize("folder", RETRAINED, ids=lambda folder: folder.name)
def test_the_best_models_command_gives_its_settings(folder: Path, role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CIFAKE_RAY_DATA", raising=False)
    study = load(folder)
    outcome = study.outcome(role)
    assert outcome is not None
    _, verb, file, *options = shlex.split(winner_command(study, role))
    given = list(zip(options[::2], options[1::2], strict=True))
    assert verb == "train"
    assert {name for name, _ in given} <= {"--name", "--data", "--set"}
    read: Experiment = load_named(
        str(RESULTS / file), data=dict(given)["--data"], trials=None, seed=None,
        settings=[value for name, value in given if name == "--set"],
    )  # fmt: skip
    found, params = single_trial(read, 0).model_dump(by_alias=True), outcome.params
    settings = {**found["training"], **found["model"]}
    assert {name: join_plus(settings[name]) for name in params} == {n: join_plus(v) for n, v in params.items()}

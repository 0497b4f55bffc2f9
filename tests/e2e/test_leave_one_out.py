"""Studies that leave generators out, choose by generators that did not train, and choose by other figures."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cifake_ray.cli.show_groups import print_groups
from cifake_ray.reporting.by_group import by_generator, left_out
from cifake_ray.reporting.load import load
from cifake_ray.runs.records import GroupRow, Interval, LeaveOneOut
from tests.e2e.conftest import Command

from ..generators import write_generators

pytestmark = pytest.mark.usefixtures("ray_session")

EXPERIMENT = """
name: mine
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 2, lr: 3e-3, batch_size: 16, precision: fp32}
search_space:
  lr: {type: float, low: 1e-4, high: 3e-2, log: true}
search: {trials: 2, winner_seeds: 1, scheduler: asha}
data: {source: SOURCE, val_fraction: 0.3}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    file = tmp_path / "mine.yaml"
    source = write_generators(tmp_path / "set", train={"adam": 80, "bertha": 80, "carl": 80})
    file.write_text(EXPERIMENT.replace("SOURCE", source))
    return file


@pytest.mark.cluster
def test_each_generator_is_left_out_by_a_study_of_its_own_and_all_are_resumed(
    cifake_ray: Command, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = tmp_path / "runs"
    assert cifake_ray("tune", mine, "--storage", storage, "--leave-one-out", "generator", "--dry-run") == 0
    assert "mine-without-adam, mine-without-bertha, mine-without-carl" in capsys.readouterr().out
    assert not storage.exists()
    assert cifake_ray("tune", mine, "--storage", storage, "--leave-one-out", "generator") == 0
    printed = capsys.readouterr()
    assert "left out: generator carl: 80 train pictures neither train nor validate; 12 test pictures" in printed.err
    rows = [line.split() for line in printed.out.splitlines() if line.strip().startswith("generator ")]
    assert [row[1:4] for row in rows] == [
        ["adam", "mine-without-adam", "24"],
        ["bertha", "mine-without-bertha", "24"],
        ["carl", "mine-without-carl", "12"],
    ]  # fmt: skip
    assert any(line.strip().startswith("minimum") for line in printed.out.splitlines())
    for name in ("adam", "bertha", "carl"):
        study = load(storage / f"mine-without-{name}")
        assert study.records.environment.data.left_out == {"generator": [name]}
        assert [(one.row.value, one.part == "left out") for one in by_generator(study)] == [
            (each, each == name) for each in ("adam", "bertha", "carl")
        ]

    shutil.rmtree(storage / "mine-without-bertha")
    kept = (storage / "mine-without-adam" / "test.json").stat().st_mtime_ns
    again = ("tune", "--resume", "mine", "--storage", storage, "--leave-one-out", "generator", "--json")
    assert cifake_ray(*again) == 0
    found = LeaveOneOut.parse(json.loads(capsys.readouterr().out))
    assert (storage / "mine-without-adam" / "test.json").stat().st_mtime_ns == kept
    assert [one.value for one in found.studies] == ["adam", "bertha", "carl"]
    assert set(found.figures) == {"right", "balanced_accuracy", "average_precision", "auc"}
    (adam,) = left_out(load(storage / "mine-without-adam"))
    assert found.studies[0].right == adam.row.right
    large = [one.right.value for one in found.studies if one.large]
    assert found.figures["right"].minimum == min(large)


def test_configurations_are_chosen_by_a_generator_that_no_trial_trained_on(
    cifake_ray: Command, mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    unseen = ("--set", "data.validate={unseen: [carl]}", "--set", "search.metric=val_balanced_accuracy")
    assert cifake_ray("tune", mine, "--storage", tmp_path, "--name", "chosen", *unseen) == 0
    assert "validation: FAKE pictures of carl, generators that no trial trains on" in capsys.readouterr().err
    study = load(tmp_path / "chosen")
    data = study.records.environment.data
    assert (data.unseen, data.split) == (["carl"], {"train": 160 + 42, "validation": 80 + 18})
    assert [one.part for one in by_generator(study)] == ["trained", "trained", "validated"]
    trials = pd.read_csv(tmp_path / "chosen" / "trials.csv")
    tuned = study.outcome("tuned")
    assert tuned is not None
    assert tuned.trial_id == trials.loc[trials["val_balanced_accuracy"].idxmax(), "trial_id"]


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("metric", "setting"),
    [
        ("val_worst_group", "search.second_objective=parameters"),
        ("val_degraded", "search.scheduler=median"),
        ("val_auc", "search.scheduler=hyperband"),
    ],
)
def test_a_study_chooses_by_the_metric_and_resumes_with_it(
    cifake_ray: Command, mine: Path, tmp_path: Path, metric: str, setting: str
) -> None:
    settings = (f"search.metric={metric}", setting, "training.epochs=3")
    options = [word for one in settings for word in ("--set", one)]
    assert cifake_ray("tune", mine, "--storage", tmp_path, *options) == 0
    assert cifake_ray("tune", "--resume", "mine", "--storage", tmp_path, "--trials", "3") == 0
    trials, curves = (pd.read_csv(tmp_path / "mine" / f"{name}.csv") for name in ("trials", "curves"))
    assert len(trials) == 3
    assert curves[metric].between(0, 1).all()
    assert trials[metric].tolist() == pytest.approx(curves.groupby("trial_id")[metric].max().tolist())
    winner = json.loads((tmp_path / "mine" / "test.json").read_text())["winners"][0]
    assert winner["trial_id"] == trials.loc[trials[metric].idxmax(), "trial_id"]
    assert 0 <= winner["seeds"][0][metric] <= 1
    assert cifake_ray("report", tmp_path / "mine", "--out", tmp_path / "report") == 0
    page = (tmp_path / "report" / "report.html").read_text()
    assert f"TPE proposed configurations for {metric}" in page


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (("data.leave_out={generator: [addam]}",), "no generator addam in the train part; did you mean adam?"),
        (("data.validate={unseen: [x]}",), "validate: no generator x in the train part; there are adam, bertha, carl"),
        (("search.metric=val_worst_group", "data.val_fraction=0.1"), "there are adam 8, bertha 8, carl 8; raise data."),
    ],
)
def test_what_cannot_be_left_out_or_measured_is_refused_before_the_first_trial(
    cifake_ray: Command, mine: Path, tmp_path: Path, settings: tuple[str, ...], words: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    options = [word for setting in settings for word in ("--set", setting)]
    assert cifake_ray("tune", mine, "--storage", tmp_path / "runs", *options) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "runs").exists()
    decoded = list((tmp_path / "cache" / "images").glob("*/entry.json"))
    assert bool(decoded) == ("val_fraction" in str(settings))


def test_small_groups_are_printed_with_their_interval_alone(capsys: pytest.CaptureFixture[str]) -> None:
    right = Interval(value=0.5, low=0.25, high=0.75)
    small = GroupRow(column="generator", value="carl", label="FAKE", images=12, right=right)
    large = small.model_copy(update={"images": 40, "auc": 0.9})
    print_groups([small, large])
    lines = capsys.readouterr().out.splitlines()
    assert "50.00" not in next(line for line in lines if " 12 " in line)
    assert "50.00 % [25.00, 75.00]" in next(line for line in lines if " 40 " in line)

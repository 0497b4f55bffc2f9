"""Whole studies of a network of the user's own: its file travels, is trusted or refused, and is named in errors."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.e2e.conftest import ROOT, Command
from tests.own_net import EXPERIMENT, NET, write_experiment

pytestmark = pytest.mark.usefixtures("ray_session")
SHORT = ("--trials", "3", "--set", "training.epochs=2", "--set", "search.winner_seeds=1", "--set", "data.limit=240")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "picture.png")
    return tmp_path / "picture.png"


@pytest.mark.cluster
def test_the_shipped_example_is_tuned_tested_explained_and_trusted_by_its_user(
    cifake_ray: Command, tmp_path: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, runs = tmp_path / "mine", ("--storage", tmp_path / "runs")
    mine.mkdir()
    for name in ("python.yaml", "my_net.py"):
        shutil.copy(ROOT / "search_spaces" / "examples" / name, mine)
    assert cifake_ray("tune", mine / "python.yaml", *runs, *SHORT) == 0
    run = tmp_path / "runs" / "python"
    digest = hashlib.sha256((mine / "my_net.py").read_bytes()).hexdigest()
    assert json.loads((run / "best" / "model.json").read_text())["model"]["sha256"] == digest
    assert digest in (run / "experiment.yaml").read_text()
    assert (run / "my_net.py").read_bytes() == (mine / "my_net.py").read_bytes()
    trials = pd.read_csv(run / "trials.csv")
    assert set(trials["status"]) <= {"completed", "stopped"}
    assert set(trials["args.width"]) <= {8, 16, 24}
    assert set(trials["args.residual"]) <= {True, False}
    for command in (("predict", "python", picture), ("evaluate", "python"), ("evaluate", "python", "--explain")):
        assert cifake_ray(*command, *runs) == 0, command
    assert cifake_ray("report", "python", *runs, "--out", tmp_path / "report", "--with-runs") == 0
    assert (tmp_path / "report" / "studies" / "python" / "my_net.py").read_bytes() == (run / "my_net.py").read_bytes()

    (mine / "my_net.py").write_text((mine / "my_net.py").read_text() + "\n# another thought\n")
    capsys.readouterr()
    for command in (("predict", "python", picture), ("evaluate", "python"), ("train", run),
                    ("tune", "--resume", "python"), ("tune", run / "experiment.yaml", "--name", "copy")):  # fmt: skip
        assert cifake_ray(*command, *runs) == 2, command
        refused = capsys.readouterr().err.splitlines()[-1]
        assert digest in refused
        assert str(run / "my_net.py") in refused
        assert "--trust" in refused
    assert cifake_ray("predict", "python", picture, *runs, "--trust") == 0
    assert cifake_ray("train", run, "--name", "one", *runs, "--trust") == 0
    assert cifake_ray("tune", "--resume", "python", "--trials", "4", *runs, "--trust") == 0
    assert len(pd.read_csv(run / "trials.csv")) == 4


def test_a_trial_that_fails_in_the_file_names_file_line_and_exception(cifake_ray: Command, tmp_path: Path) -> None:
    net = NET.replace("return self.layers(pictures)", "return self.layers(pictures / (6 - self.width))")
    net = net.replace("super().__init__()", "super().__init__(); self.width = 6 // (7 - width)")
    space = EXPERIMENT.replace("{type: int, low: 2, high: 8}", "{type: categorical, choices: [4, 7]}")
    experiment = write_experiment(tmp_path, net, space.replace("search: {", "search: {sampler: grid, "))
    options = ("--storage", tmp_path / "runs", "--set", "search_space.lr={type: categorical, choices: [0.01]}")
    assert cifake_ray("tune", experiment, *options) == 0
    trials = pd.read_csv(tmp_path / "runs" / "mine" / "trials.csv").set_index("args.width")
    assert trials.loc[4, "status"] == "completed"
    assert trials.loc[7, "status"] == "failed"
    assert f"{tmp_path}/my_net.py:7: ZeroDivisionError" in trials.loc[7, "error"]


def test_a_wrong_file_is_refused_before_anything_is_written(
    cifake_ray: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write_experiment(tmp_path, NET.replace("nn.Linear(16 * width, 1)", "nn.Linear(15 * width, 1)"))
    verbs = (("tune",), ("tune", "--dry-run"), ("plan",), ("train",))
    for command in [(verb, experiment, *options) for verb, *options in verbs]:
        assert cifake_ray(*command) == 2, command
        said = capsys.readouterr().err.splitlines()[-1]
        assert f"{tmp_path}/my_net.py:13: RuntimeError: " in said
        assert "mat1 and mat2" in said
    assert not (tmp_path / "results").exists()


def test_plan_and_dry_run_of_a_network_of_ones_own(
    cifake_ray: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = write_experiment(tmp_path)
    assert cifake_ray("tune", experiment, "--dry-run") == 0
    assert "# valid; would run 3 trials" in capsys.readouterr().out
    assert cifake_ray("plan", experiment) == 0
    assert "mine: 3 trials of 2 epochs" in capsys.readouterr().out

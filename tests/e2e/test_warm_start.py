"""Studies that begin from earlier ones, on the session's Ray: what is said, recorded, resumed and refused."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from cifake_ray.runs.run import Run
from cifake_ray.tuning.journal import read_trials
from tests.e2e.conftest import Command

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]
QUICK = ("--set", "search.winner_seeds=0", "--set", "training.epochs=2")


def test_known_trials_inform_a_study_and_its_resume_and_lie_in_no_table_of_it(
    cifake_ray: Command, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = ("--storage", tmp_path / "runs")
    assert cifake_ray("tune", small, *storage, *QUICK, "--trials", "5") == 0
    results = pd.read_csv(tmp_path / "runs" / "small" / "trials.csv")["status"].isin(["completed", "stopped"]).sum()
    capsys.readouterr()

    warm = ("--name", "warm", "--warm-start", "small", "--trials", "3")
    assert cifake_ray("tune", small, *storage, *QUICK, *warm, "--dry-run") == 0
    said = f"warm start from small: tpe knows {results} of its {results} trials"
    assert f"# {said}; not checked: whether the images are those" in capsys.readouterr().out
    assert not (tmp_path / "runs" / "warm").exists()

    assert cifake_ray("tune", small, *storage, *QUICK, *warm) == 0
    assert said in capsys.readouterr().err
    run = Run(tmp_path / "runs" / "warm")
    trials = pd.read_csv(run.trials_file)
    assert trials["trial_id"].tolist() == [trial.number for trial in read_trials(run)] == [0, 1, 2]
    assert trials.loc[0, ["lr", "batch_size", "head_width"]].tolist() == [1e-3, 32, 8]  # the baseline
    noted = json.loads(run.environment_file.read_text())
    assert noted["warm_start"] == [
        {"run": "small", "trials": results, "known": results, "dropped": 0, "thinned": 0, "outside": {}}
    ]
    assert len(json.loads(run.warm_start_file.read_text())["known"]) == results

    shutil.rmtree(tmp_path / "runs" / "small")
    assert cifake_ray("tune", "--resume", "warm", *storage, "--trials", "5") == 0
    assert len(pd.read_csv(run.trials_file)) == 5
    again = json.loads(run.environment_file.read_text())
    assert (again["warm_start"], again["created"]) == (noted["warm_start"], noted["created"])
    assert len(again["resumed"]) == 1
    assert cifake_ray("report", run.path, "--out", tmp_path / "report") == 0
    assert "Warm start: the sampler knew" in (tmp_path / "report" / "report.html").read_text()


def test_the_best_of_another_study_come_first_and_bad_names_are_refused(
    cifake_ray: Command, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = ("--storage", tmp_path / "runs")
    assert cifake_ray("tune", small, *storage, *QUICK, "--trials", "3") == 0
    capsys.readouterr()
    other = ("--warm-start", "small", "--set", "training.epochs=1", "--set", "search.winner_seeds=0")
    assert cifake_ray("plan", small, *storage, *other, "--json") == 0
    (note,) = json.loads(capsys.readouterr().out)["warm_start"]
    assert note["reason"] == "2 epochs instead of 1"
    assert note["proposed"] == 2  # the third is the baseline
    assert cifake_ray("tune", small, *storage, *other, "--name", "new", "--trials", "3", "--dry-run") == 0
    assert "its 2 best configurations are the first proposals after the baseline" in capsys.readouterr().out

    for places, said in (
        (("smal",), "smal: no such run"),
        (("small", "--resume", "small"), "a study is warm-started once, when it begins"),
    ):
        experiment = () if "--resume" in places else (small,)
        assert cifake_ray("tune", *experiment, *storage, "--name", "x", "--warm-start", *places) == 2
        assert said in capsys.readouterr().err
    assert cifake_ray("tune", small, *storage, "--name", "x", "--warm-start", "small", "--set", "search_space={}") == 2

"""Schedulers, conditional dimensions and a second objective in whole studies on the session's Ray."""

import json
import threading
import urllib.request
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cifake_ray.reporting.dashboard import dashboard_server
from cifake_ray.runs.run import Run
from tests.e2e.conftest import Command

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("ray_session")]

TWO = """
name: two
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 4, lr: 1e-3, batch_size: 32, precision: fp32}
search_space:
  weight_decay: {type: float, low: 1e-4, high: 0.1, log: true, when: {optimizer: adamw}}
  optimizer: {type: categorical, choices: [adam, adamw]}
  head_width: {type: int, low: 4, high: 32, log: true}
  lr: {type: float, low: 1e-5, high: 3e-2, log: true}
search: {trials: 4, winner_seeds: 1, scheduler: hyperband, reduction_factor: 2, second_objective: parameters}
data: {source: sample, limit: 240}
"""


def retrained_epochs(run: Path) -> set[int]:
    test = json.loads((run / "test.json").read_text())
    return {len(seed["curve"]) for winner in test["winners"] for seed in winner["seeds"]}


def dashboards_study(run: Path) -> dict[str, Any]:
    """What optuna-dashboard shows of the study."""
    with dashboard_server(Run(run), 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/api/studies/0", timeout=30) as answer:
            study: dict[str, Any] = json.load(answer)
        server.shutdown()
    return study


def test_hyperband_with_two_objectives_and_a_condition_from_search_to_report(
    cifake_ray: Command, tmp_path: Path
) -> None:
    (tmp_path / "two.yaml").write_text(TWO)
    assert cifake_ray("tune", tmp_path / "two.yaml", "--storage", tmp_path, "--set", "training.weight_decay=0.01") == 0
    assert cifake_ray("tune", "--resume", "two", "--storage", tmp_path, "--trials", "6") == 0
    trials = pd.read_csv(tmp_path / "two" / "trials.csv")
    assert trials["trial_id"].tolist() == list(range(6))
    assert set(trials["status"]) <= {"completed", "stopped"}
    assert (trials["weight_decay"].isna() == (trials["optimizer"] == "adam")).all()
    assert trials.loc[0, ["optimizer", "weight_decay", "head_width"]].tolist() == ["adamw", 0.01, 8]
    sizes = trials.sort_values("head_width")["parameters"]
    assert sizes.is_monotonic_increasing
    assert retrained_epochs(tmp_path / "two") == {4}
    winners = json.loads((tmp_path / "two" / "test.json").read_text())["winners"]
    assert winners[0]["trial_id"] == trials.loc[trials["val_accuracy"].idxmax(), "trial_id"]
    study = dashboards_study(tmp_path / "two")
    assert study["directions"] == ["maximize", "minimize"]
    assert sorted(values[1] for trial in study["trials"] if (values := trial.get("values"))) == sorted(sizes)
    assert cifake_ray("report", tmp_path / "two", "--out", tmp_path / "report") == 0
    assert "Pareto front" in (tmp_path / "report" / "report.html").read_text()


def test_the_median_rule_with_inference_time_leaves_retrainings_alone(
    cifake_ray: Command, small: Path, tmp_path: Path
) -> None:
    search = ("scheduler=median", "sampler=qmc", "second_objective=inference_ms", "trials=5", "winner_seeds=1")
    settings = [word for setting in search for word in ("--set", f"search.{setting}")]
    assert cifake_ray("tune", small, "--storage", tmp_path, *settings) == 0
    trials = pd.read_csv(tmp_path / "small" / "trials.csv")
    assert len(trials[["lr", "batch_size", "head_width"]].drop_duplicates()) == 5
    assert set(trials["status"]) <= {"completed", "stopped"}
    assert trials["inference_ms"].between(1e-4, 1e3).all()
    assert retrained_epochs(tmp_path / "small") == {3}

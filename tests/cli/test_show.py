"""Tables and numbers of the terminal."""

import json
import re
import sys
from pathlib import Path

import pytest

from cifake_ray.cli.cluster import _job_row, _trial_row
from cifake_ray.cli.show import backbone_of, from_left, print_rows, run_row
from cifake_ray.console import counted, percent
from cifake_ray.jobs.watch import Job
from cifake_ray.runs.run import Run

RUN = {
    "name": "rn", "model": "resnet50", "data": "/a/very/long/way/to/the/pictures/of/somebody/cifake.parquet",
    "trials": 8,
    "running": 0, "completed": 3, "stopped": 5, "failed": 0, "interrupted": 0, "best_val_accuracy": 0.885,
    "state": "tested", "total": 8, "created": "2020-01-01T00:00:00+00:00",
}  # fmt: skip


def test_one_is_singular_and_an_accuracy_is_in_percent_with_two_decimals() -> None:
    assert [counted(count, "epoch") for count in (0, 1, 1200)] == ["0 epochs", "1 epoch", "1,200 epochs"]
    assert [percent(share) for share in (0.885, 1.0, None)] == ["88.50 %", "100.00 %", ""]


def test_a_run_is_five_cells_and_all_of_them_when_wide() -> None:
    row = run_row(RUN, wide=False)
    assert list(row) == ["name", "state", "done", "best val.", "age"]
    assert [row["done"], row["best val."]] == ["8/8", "88.50 %"]
    assert row["age"].endswith(" days")
    wide = run_row(RUN, wide=True)
    assert wide["stopped early"] == "5"
    assert wide["data"].endswith("/somebody/cifake.parquet")


def test_a_damaged_run_keeps_its_row() -> None:
    row = run_row({"name": "x", "trials": 0, "state": "damaged: no such file"}, wide=True)
    assert [row["name"], row["best val."], row["age"]] == ["x", "", ""]


def test_a_long_path_is_shortened_from_the_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert from_left("/data/cifake", 20) == "/data/cifake"
    assert from_left("/a/long/way/cifake", 8) == "…/cifake"


def test_a_table_in_a_file_is_as_wide_as_its_cells(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("COLUMNS", "40"), ("FORCE_COLOR", "1"), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, value)
    print_rows([run_row(RUN, wide=True) | {"error": "a " * 2000}], as_json=False)
    _, row = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).split("─\n")
    assert len(row.strip().splitlines()) == 1
    assert str(RUN["data"]) in row
    monkeypatch.delenv("FORCE_COLOR")
    print_rows([run_row(RUN, wide=True)], as_json=False)
    assert not re.search(r" $", capsys.readouterr().out, re.MULTILINE)


def job(state: str) -> Job:
    progress = {
        "phase": "3/3 retraining 2/6", "experiment": "cnn", "total": 40, "finished": 38, "metric": "val_accuracy",
        "best": {"value": 0.9512, "trial_id": 3}, "seconds_left": 95.0,
        "trials": {"running": 1, "completed": 3, "stopped": 35, "failed": 0, "interrupted": 0},
    }  # fmt: skip
    return Job("cnn-20261126-101112", "cnn", "/runs", "cnn", state, 100.0, 900.0, None, None, progress=progress)


def test_a_running_job_shows_its_phase_and_the_time_left_within_80_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = _job_row(job("running"))
    assert [row["state"], row["done"], row["best"], row["left"]] == ["3/3 retraining 2/6", "38/40", "95.12 %", "2 min"]
    print_rows([row], as_json=False)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_stopped_by_hand_and_stopped_early_are_two_words() -> None:
    wide = _job_row(job("stopped"), wide=True)
    assert [wide["state"], wide["stopped early"]] == ["stopped", 35]
    trial = {"trial_id": 1, "status": "stopped", "epochs": 2, "best": 0.81, "params": {"lr": 0.0035}, "error": ""}
    assert _trial_row(trial, "val_accuracy") == {
        "trial": 1, "status": "stopped early", "epochs": 2, "best": "81.00 %", "settings": "lr 0.0035", "error": "",
    }  # fmt: skip


def test_the_backbones_weights_of_a_run_are_named_by_name_and_digest(tmp_path: Path) -> None:
    (tmp_path / "best").mkdir()
    (tmp_path / "best" / "model.safetensors").touch()
    note = {"schema": 1, "model": {"kind": "resnet50"}, "labels": ["FAKE", "REAL"], "positive_class": "FAKE"}
    for weights, digest, said in (
        ("r50.pth", "0123456789abcdef" * 4, "; backbone weights r50.pth (SHA-256 0123456789ab…)"),
        ("random", "random-seed-0", "; backbone weights random"),
        ("", "", ""),
    ):
        backbone = {"weights": weights, "sha256": digest, "licence": "?"} if weights else None
        (tmp_path / "best" / "model.json").write_text(json.dumps({**note, "backbone": backbone}))
        assert backbone_of(Run(tmp_path)) == said

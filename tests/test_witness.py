"""Runs and cache entries of version 0.1: they load, report, predict, resume, and their cache is used."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import ray

from cifake_ray.data import load_images, run_images, split_train
from cifake_ray.detector.load import load_detector
from cifake_ray.evaluation.testing import results_fault
from cifake_ray.features import ensure_features
from cifake_ray.models.registry import family_of
from cifake_ray.reporting.load import load, state_of, summarise_runs
from cifake_ray.reporting.report import write_report
from cifake_ray.runs.run import Run
from cifake_ray.storage.cache import META, read_entry
from tests.e2e import conftest as e2e

WITNESS = Path(__file__).parent / "runs" / "v0.1"
command = e2e.cifake_ray  # a fixture
RUNS = ("finished", "frozen", "interrupted")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the cache that version 0.1 left."""
    folder = Path(shutil.copytree(WITNESS / "cache", tmp_path / "v0.1 cache"))
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(folder))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> dict[str, Run]:
    """Copies of the runs: a test may write into them."""
    return {name: Run(Path(shutil.copytree(WITNESS / name, tmp_path / "runs" / name))) for name in RUNS}


def stamps(cache: Path) -> dict[str, tuple[int, int]]:
    """Each entry's inode and time of change: a rebuilt entry has others."""
    found = {str(file.relative_to(cache)): file.stat() for file in cache.rglob(META)}
    return {name: (status.st_ino, status.st_mtime_ns) for name, status in found.items()}


@pytest.mark.parametrize(("name", "state", "trials"), [("finished", "tested", 5), ("frozen", "tested", 3),
                                                       ("interrupted", "unfinished", 3)])  # fmt: skip
def test_a_run_loads(name: str, state: str, trials: int) -> None:
    study = load(WITNESS / name)
    assert state_of(study) == state
    assert len(study.trials) == trials
    assert len(study.curves) == study.trials["epochs"].sum()
    if state == "tested":
        assert study.predictions is not None
        assert len(study.predictions.labels) == 25
        assert 0 < study.mean("tuned").test.accuracy.value <= 1


def test_the_runs_are_compiled_into_a_report(tmp_path: Path) -> None:
    write_report([WITNESS / name for name in RUNS], tmp_path / "report")
    table = pd.read_csv(tmp_path / "report" / "comparison.csv")
    assert {"finished", "frozen"} <= set(table["study"])
    for name in ("finished", "frozen"):
        noted = json.loads((WITNESS / name / "test.json").read_text())["winners"][0]["mean"]["test_dedup"]["accuracy"]
        assert table[table["study"] == name].isin([noted["value"]]).any(axis=None)


def test_one_damaged_run_takes_no_other_runs_row(
    runs: dict[str, Run], command: e2e.Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs["frozen"].experiment_file.write_bytes(b"name: caf\xe9\n")
    runs["interrupted"].test_file.write_text("[]")
    listed = summarise_runs(tmp_path / "runs").set_index("name")["state"].to_dict()
    assert listed["finished"] == "tested"
    assert listed["frozen"].startswith("damaged: ")
    assert listed["interrupted"].startswith("damaged: ")
    assert command("runs", "--storage", tmp_path / "runs") == 0
    capsys.readouterr()
    assert command("report", *(run.path for run in runs.values()), "--out", tmp_path / "out") == 1
    told = capsys.readouterr()
    assert set(pd.read_csv(tmp_path / "out" / "comparison.csv")["study"].dropna()) >= {"finished"}
    last = told.err.splitlines()[-1]
    assert "2 of 3 runs left out of the report" in last
    assert str(runs["frozen"].experiment_file) in last
    assert str(runs["interrupted"].test_file) in last
    assert command("report", runs["frozen"].path, "--out", tmp_path / "other") == 2
    assert not (tmp_path / "other").exists()


def test_the_cache_is_used_and_nothing_is_built_again(cache: Path) -> None:
    before = stamps(cache)
    images = load_images("sample", limit=100)
    noted = json.loads((WITNESS / "frozen" / "environment.json").read_text())["data"]
    assert images.fingerprint == noted["fingerprint"]
    assert len(split_train(images.train, 0.2, 0).train) == noted["split"]["train"]
    frozen = Run(WITNESS / "frozen").experiment()
    specs = family_of(frozen.model).passes(frozen)
    sets = [found for part in (images.train, images.test) for found in ensure_features(part, specs)]
    assert len(sets) == 4
    assert [found.extracted for found in sets] == [0] * 4
    after = stamps(cache)
    assert [path for path, stamp in before.items() if after[path] != stamp] == [
        f"images/{images.path.name}/entry.json"  # the table, which version 0.1 did not have
    ]
    assert read_entry(images.path) is not None
    load_images("sample", limit=100)
    assert stamps(cache) == after


@pytest.mark.parametrize("name", ["finished", "frozen"])
def test_a_finished_run_predicts_what_it_predicted(name: str, runs: dict[str, Run], cache: Path) -> None:
    run, images = runs[name], load_images("sample", limit=100)
    seed = json.loads((run.best / "model.json").read_text())["seed"]
    with np.load(run.predictions_file) as noted:
        assert load_detector(run).p_fake(images.test.images) == pytest.approx(noted[f"tuned_{seed}"], abs=1e-4)
    assert run_images(run, run.experiment()).path.is_relative_to(cache)


@pytest.mark.usefixtures("ray_session", "cache")
def test_an_interrupted_run_resumes_under_another_name_and_repeats_nothing(
    runs: dict[str, Run], command: e2e.Command, tmp_path: Path
) -> None:
    run = Run(runs["interrupted"].path.rename(tmp_path / "runs" / "renamed"))
    text = run.experiment_file.read_text().replace("winner_seeds: 2", "winner_seeds: 1")
    run.experiment_file.write_text(text.replace("trials: 5", "trials: 4"))
    before, curves = pd.read_csv(run.trials_file), pd.read_csv(run.curves_file)
    assert command("tune", "--resume", "renamed", "--storage", tmp_path / "runs") == 0
    study = load(run.path)
    assert state_of(study) == "tested"
    assert study.trials["status"].isin(["completed", "stopped"]).all()
    assert len(study.trials) == 4
    pd.testing.assert_frame_equal(pd.read_csv(run.trials_file).iloc[:2], before.iloc[:2])
    pd.testing.assert_frame_equal(pd.read_csv(run.curves_file)[list(curves)].iloc[: len(curves)], curves)
    assert not study.curves.duplicated(["trial_id", "epoch"]).any()


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:200])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 255
    file.write_bytes(bytes(data))


DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    ("best", shutil.rmtree),
    ("best/model.safetensors", cut),
    ("best/model.json", Path.unlink),
    ("best/model.json", lambda file: file.write_text("[]")),
    ("test_predictions.npz", Path.unlink),
    ("test_predictions.npz", cut),
    ("test_predictions.npz", flip),
    ("test_predictions.npz", lambda file: shutil.copy(WITNESS / "frozen" / file.name, file)),
]


@pytest.mark.usefixtures("cache")
def test_the_results_of_a_run_are_found_to_be_damaged_or_whole(runs: dict[str, Run], tmp_path: Path) -> None:
    assert results_fault(runs["finished"]) is None
    for number, (name, damage) in enumerate(DAMAGES):
        run = Run(Path(shutil.copytree(WITNESS / "finished", tmp_path / str(number))))
        damage(run.path / name)
        fault = results_fault(run)
        assert fault is not None, name
        assert fault.startswith(str(run.path / name).removesuffix("/model.json").removesuffix("/model.safetensors"))


@pytest.mark.usefixtures("cache")
def test_resuming_a_finished_run_does_nothing_and_needs_no_ray(
    runs: dict[str, Run], command: e2e.Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", started)
    for run in (runs["finished"], runs["frozen"]):
        before = {file: file.read_bytes() for file in run.path.rglob("*") if file.is_file()}
        assert command("tune", "--resume", run.name, "--storage", tmp_path / "runs") == 0
        assert {
            file: file.read_bytes() for file in run.path.rglob("*") if file.is_file() and file.name != ".lock"
        } == before


@pytest.mark.usefixtures("ray_session", "cache")
def test_resuming_restores_what_is_lost_of_the_results_and_trains_no_trial(
    runs: dict[str, Run], command: e2e.Command, tmp_path: Path
) -> None:
    run = runs["frozen"]
    shutil.rmtree(run.best)
    flip(run.predictions_file)
    journal, tested = run.journal.read_bytes(), json.loads(run.test_file.read_text())
    assert command("tune", "--resume", "frozen", "--storage", tmp_path / "runs") == 0
    assert results_fault(run) is None
    assert run.journal.read_bytes() == journal
    again = json.loads(run.test_file.read_text())
    assert [winner["mean"]["test"]["accuracy"]["value"] for winner in again["winners"]] == [
        winner["mean"]["test"]["accuracy"]["value"] for winner in tested["winners"]
    ]
    assert command("tune", "--resume", "frozen", "--storage", tmp_path / "runs") == 0

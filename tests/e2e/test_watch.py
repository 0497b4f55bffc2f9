"""A study watched from outside: its workers' logs, its Optuna study in the dashboard."""

import json
import shutil
import signal
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import load_experiment
from cifake_ray.ray_private import logs_folder
from cifake_ray.reporting.dashboard import dashboard_server
from cifake_ray.runs.run import Run
from cifake_ray.tuning.request import StudyRequest, run_study
from tests.e2e.conftest import SMALL, Command, start

pytestmark = pytest.mark.usefixtures("ray_session")


@pytest.fixture(scope="module")
def tuned(ray_session: None, tmp_path_factory: pytest.TempPathFactory) -> Path:  # noqa: ARG001
    """A finished study of three trials."""
    folder = tmp_path_factory.mktemp("watch")
    (folder / "small.yaml").write_text(SMALL)
    settings = ["search.trials=3", "search.winner_seeds=0", "search.scheduler=none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIFAKE_RAY_CACHE", str(folder / "cache"))
        return run_study(StudyRequest(load_experiment(folder / "small.yaml", settings), folder, "small")).path


@pytest.fixture
def run(tuned: Path, tmp_path: Path) -> Run:
    """A copy of it."""
    return Run(shutil.copytree(tuned, tmp_path / "runs" / "small"))


@pytest.fixture
def url(run: Run) -> Iterator[str]:
    """The run's dashboard, served from this process."""
    with dashboard_server(run, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(url: str, data: bytes | None = None) -> Any:
    return json.loads(urllib.request.urlopen(urllib.request.Request(url, data), timeout=20).read())


def test_a_study_is_in_its_workers_logs_and_the_dashboard_leaves_its_journal_alone(run: Run, url: str) -> None:
    logs = Path(logs_folder())
    lines = [line for file in logs.glob("worker-*.out") for line in file.read_text().splitlines()]
    for number in range(3):
        assert any(line.startswith(f"trial {number} epoch 3/3: validation accuracy ") for line in lines)

    before = run.journal.read_bytes()
    (study,) = ask(f"{url}/api/studies")["study_summaries"]
    assert study["study_name"] == "small"
    assert len(ask(f"{url}/api/studies/{study['study_id']}")["trials"]) == 3
    assert b"<html" in urllib.request.urlopen(f"{url}/dashboard", timeout=20).read().lower()
    for request in (
        urllib.request.Request(f"{url}/api/studies", b'{"study_name": "other", "directions": ["maximize"]}'),
        urllib.request.Request(f"{url}/api/studies/{study['study_id']}", method="DELETE"),
    ):
        with pytest.raises(urllib.error.HTTPError, match="405"):
            urllib.request.urlopen(request, timeout=20)
    assert run.journal.read_bytes() == before
    assert {path.name for path in run.path.glob("study.journal*")} == {"study.journal"}

    with run.journal.open("ab") as stream:  # the study goes on, and its writer is in the middle of a line
        stream.write(b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"new":1}}\n{"op_code":2,"wor')
    (study,) = ask(f"{url}/api/studies")["study_summaries"]
    assert {"key": "new", "value": "1"} in study["user_attrs"]


def test_the_dashboard_command_prints_its_address_and_ends_at_ctrl_c(run: Run) -> None:
    process = start("dashboard", run.path, "--port", "0")
    assert process.stdout is not None
    address = process.stdout.readline().split()[0]
    assert address.startswith("http://127.0.0.1:")
    assert urllib.request.urlopen(address, timeout=20).status == 200
    with pytest.raises(InputError, match="choose another"):
        dashboard_server(run, int(address.split(":")[2].split("/")[0]))
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) == 0


def test_the_dashboard_of_what_is_no_run_or_without_its_package_is_one_line(
    cifake_ray: Command, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cifake_ray("dashboard", tmp_path / "none") == 2
    assert "no such run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)  # as if it were not installed
    assert cifake_ray("dashboard", run.path) == 2
    assert capsys.readouterr().err.splitlines() == [
        "cifake-ray: optuna-dashboard is not installed; pip install 'cifake-ray[dashboard]'"
    ]

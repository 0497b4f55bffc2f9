"""Studies as jobs on a cluster of two nodes, from a shell that has its address and its token."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.e2e.conftest import ROOT, SMALL, listening_addresses

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
SCRIPT = ROOT / "cluster" / "local" / "cluster.py"
WAIT = 200.0


@dataclass(frozen=True)
class Shell:
    """A shell with the cluster's address and token, in an empty folder with `small.yaml`."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str | Path, **changed: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "cifake_ray", *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | {"PYTHONPATH": str(ROOT)} | changed,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str | Path, code: int = 0, **changed: str) -> str:
        """What the command printed on stdout, or (with a code) its one line on stderr."""
        process = self.start(*arguments, **changed)
        out, err = process.communicate(timeout=WAIT)
        assert process.returncode == code, out + err
        assert (self.folder / ".ray" / "auth_token").read_text().strip() not in out + err
        if code:
            assert len(err.splitlines()) == 1, err
        return err if code else out

    def python(self, code: str) -> str:
        """What a Python program prints here."""
        command, environment = [sys.executable, "-c", code], self.environment | {"PYTHONPATH": str(ROOT)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT, check=True).stdout

    def submit(self, *arguments: str | Path) -> str:
        """Submit, and return the job's id."""
        found = re.search(r"^job (\S+) was submitted$", self("submit", *arguments), flags=re.MULTILINE)
        assert found is not None
        return found[1]


@pytest.fixture(scope="module")
def shell() -> Iterator[Shell]:
    """Of a cluster with a token of its own: head and one worker, one CPU each."""
    folder = Path(tempfile.mkdtemp(prefix="cr-", dir="/tmp"))  # short: Ray's sockets lie far below it
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "CIFAKE_RAY_"))}
    environment = outside | {"HOME": str(folder), "CIFAKE_RAY_CACHE": str(folder / "cache")}
    command = [sys.executable, str(SCRIPT), "start", "--workers", "1", "--cpus", "1", "--dir", str(folder / "ray")]
    try:
        started = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=WAIT, check=True)
        exported = dict(re.findall(r"^export (\w+)=(\S+)$", started.stdout, flags=re.MULTILINE))
        (folder / "small.yaml").write_text(SMALL)
        yield Shell(folder, environment | exported)
    finally:
        stop = [sys.executable, str(SCRIPT), "stop", "--dir", str(folder / "ray")]
        subprocess.run(stop, env=environment, stdout=subprocess.DEVNULL, check=False, timeout=WAIT)
        shutil.rmtree(folder, ignore_errors=True)


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def epochs(run: Path) -> int:
    """How many epochs the journal of a study holds."""
    journal = run / "study.journal"
    return journal.read_text().count('"epoch:') if journal.exists() else 0


LONGER = ("--set", "training.epochs=150", "--set", "search.scheduler=none", "--set", "search.winner_seeds=0")


def test_a_study_that_is_detached_from_killed_and_stopped_repeats_no_epoch(shell: Shell) -> None:
    storage = shell.folder / "runs"
    run = storage / "long"
    submit = shell.start("submit", "small.yaml", "--storage", storage, "--name", "long", "--trials", "3", *LONGER,
                         "--follow")  # fmt: skip
    wait_until(lambda: epochs(run) > 5, "the first epochs")
    submit.send_signal(signal.SIGINT)
    printed, error = submit.communicate(timeout=WAIT)
    assert submit.returncode == 130
    order = ["2 nodes with python", "package: ", "was submitted", "/#/jobs/long-", "Running entrypoint"]
    assert sorted(order, key=printed.index) == order
    job = re.findall(r"^job (\S+) was submitted$", printed, flags=re.MULTILINE)[0]
    assert f"the job continues: cifake-ray logs {job} -f" in error
    assert f"job {job} is still running it" in shell("submit", "--resume", "long", "--storage", storage, code=2)

    driver = subprocess.run(["pgrep", "-f", f"cifake_ray tune .*{storage}"], capture_output=True, text=True, check=True)
    os.kill(int(driver.stdout), signal.SIGKILL)
    wait_until(lambda: json.loads(shell("status", job, "--json"))["state"] == "failed", "the job of a killed driver")
    reached = epochs(run)
    assert reached < 3 * 150

    job = shell.submit("--resume", "long", "--storage", storage)
    wait_until(lambda: epochs(run) > reached + 5, "epochs of the resumed study")
    assert f"cifake-ray submit --resume long --storage {storage}" in shell("stop", job)
    assert f"resume with: cifake-ray submit --resume long --storage {storage}" in shell("logs", job).splitlines()[-1]
    stopped = pd.read_csv(run / "curves.csv")
    assert reached < len(stopped) == epochs(run) < 3 * 150
    assert "running" not in set(pd.read_csv(run / "trials.csv")["status"])

    printed = shell("submit", "--resume", "long", "--storage", storage, "--trials", "4", "--follow")
    assert "trial 3 completed" in printed
    assert "results say nothing about CIFAKE" in printed  # the closing lines
    assert "cifake-ray-progress" not in printed
    trials, curves = (pd.read_csv(run / name) for name in ("trials.csv", "curves.csv"))
    assert trials["trial_id"].tolist() == list(range(4))
    assert set(trials["status"]) == {"completed"}
    assert not curves.duplicated(["trial_id", "epoch"]).any()
    assert len(curves) == epochs(run) == 4 * 150  # no epoch was recorded a second time
    kept = curves.merge(stopped, on=["trial_id", "epoch"], suffixes=("", "_before"))
    assert len(kept) == len(stopped)
    assert (kept["val_loss"] == kept["val_loss_before"]).all()

    jobs = json.loads(shell("status", "--json"))
    assert [row["state"] for row in jobs] == ["failed", "stopped", "succeeded"]
    assert jobs[-1]["progress"]["finished"] == 4
    noted = pd.DataFrame(json.loads(shell("status", jobs[-1]["id"], "--json"))["trials"])
    assert noted[["trial_id", "status", "epochs"]].equals(trials[["trial_id", "status", "epochs"]])
    table = shell("status")
    assert all(words in table for words in (*(row["id"] for row in jobs), "succeeded", "4/4"))


def test_what_the_cluster_does_not_have_is_refused_before_anything_goes_up(shell: Shell) -> None:
    error = shell("submit", "--resume", "other", "--storage", shell.folder / "runs", code=2)
    assert "runs/other: no such run on the cluster's head" in error
    error = shell("status", "other-1", code=2)
    assert (
        f"other-1: no job or study of this name on {shell.environment['RAY_API_SERVER_ADDRESS']}; the latest jobs: "
        in error
    )


def test_a_wrong_and_a_missing_token_are_refused_in_one_line(shell: Shell) -> None:
    assert "it refused the token" in shell("status", code=2, RAY_AUTH_TOKEN="nonsense")
    nobody = shell.folder / "nobody"
    nobody.mkdir()
    assert "it wants a token and none was sent" in shell("status", code=2, HOME=str(nobody))
    assert "it wants a token and none was sent" in shell("status", code=2, RAY_AUTH_MODE="disabled")
    unset = Shell(shell.folder, {name: value for name, value in shell.environment.items() if name != "RAY_AUTH_MODE"})
    unset("status")  # the token is there, so it is sent


def test_doctor_asks_every_node_by_a_job_and_as_a_driver_alike(shell: Shell) -> None:
    url = shell.environment["RAY_API_SERVER_ADDRESS"]
    found = subprocess.run(
        ["pgrep", "-af", f"gcs_server.*{shell.folder}/ray"], capture_output=True, text=True, check=True
    )
    head = "127.0.0.1:" + re.findall(r"--gcs_server_port=(\d+)", found.stdout)[0]
    lines: list[dict[str, tuple[str, str]]] = []
    for address in (url, head):
        out, _ = shell.start("doctor", "--address", address, "--storage", shell.folder / "runs", "--json").communicate()
        checks = {check["name"]: (check["level"], check["found"]) for check in json.loads(out)}
        assert checks["address"] == ("green", f"{address}: 2 nodes")
        assert checks["dashboard"] == ("green", f"{url} answers")
        lines.append({name: checks[name] for name in ("token", "versions", "shared storage", "object store")})
    assert lines[0] == lines[1]
    assert lines[0]["shared storage"][0] == "green"
    assert lines[0]["object store"][0] == "green"
    probes = shell.python(
        "from cifake_ray.jobs.client import connect\n"
        "jobs = [job for job in connect(None).list_jobs() if (job.metadata or {}).get('cifake_ray_probe')]\n"
        "print(*{f'{job.metadata[\"job_name\"]} {job.status.value}' for job in jobs}, sep=',')"
    )
    assert probes == "probe SUCCEEDED\n"  # not a failed job without a name on Ray's page


def test_nothing_of_the_cluster_listens_beyond_this_machine(shell: Shell) -> None:
    pids = json.loads((shell.folder / "ray" / "cluster.json").read_text())["pids"]
    addresses = listening_addresses(pids)
    assert len(addresses) > 10
    assert set(addresses) == {"127.0.0.1"}

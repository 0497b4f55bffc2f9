"""What `status` and `logs` make of the log that a study in a job writes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from cifake_ray.console import print_note
from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs import watch
from cifake_ray.jobs.watch import Job, log_lines, with_trials

COUNTS = {"running": 1, "completed": 1, "stopped": 0, "failed": 0, "interrupted": 0}
WHOLE = {"phase": "tuning", "total": 5, "finished": 1, "trials": COUNTS, "seconds_left": 12.5}


@dataclass(frozen=True)
class Logs:
    """A cluster whose jobs have this log."""

    text: str

    def get_job_logs(self, job_id: str) -> str:  # noqa: ARG002
        return self.text


def job(state: str) -> Job:
    return Job("small-1", "small", "/runs", "small", state, 100.0, None, None, None)


def trial(number: int, status: str, epochs: int) -> dict[str, Any]:
    return {"trial": {"trial_id": number, "status": status, "epochs": epochs, "best": 0.8, "params": {}, "error": ""}}


@pytest.fixture
def cluster(capsys: pytest.CaptureFixture[str]) -> Any:
    """Of a job that was writing its next note when it was killed."""
    for note in (trial(1, "running", 1), trial(0, "running", 1), WHOLE | {"finished": 0}, trial(0, "completed", 2)):
        print_note(note)
    print_note(WHOLE)
    return Logs(f"Running entrypoint\n{capsys.readouterr().err}trial 0 completed\ncifake-ray-progress {{half a li")


def test_the_latest_note_of_each_trial_and_of_the_whole_counts(cluster: Any) -> None:
    found = with_trials(cluster, job("running"))
    assert found.trials == [trial(0, "completed", 2)["trial"], trial(1, "running", 1)["trial"]]
    assert found.progress == WHOLE
    assert found.seconds_left == 12.5


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_nothing_runs_any_more_in_a_job_that_ended(cluster: Any, state: str) -> None:
    found = with_trials(cluster, job(state))
    assert [row["status"] for row in found.trials] == ["completed", "interrupted"]
    assert found.progress["trials"] == COUNTS | {"running": 0, "interrupted": 1}
    assert found.seconds_left is None


def test_people_see_the_log_without_the_notes(cluster: Any) -> None:
    assert list(log_lines(cluster, job("running"))) == ["Running entrypoint", "trial 0 completed"]


def test_a_job_that_has_noted_nothing_yet_has_no_progress() -> None:
    found = with_trials(Logs("Runtime env is setting up.\n"), job("pending"))  # type: ignore[arg-type]
    assert (found.progress, found.trials, found.seconds_left) == ({}, [], None)


@dataclass
class Silent:
    """A cluster with one job, whose log never says a word or ends."""

    states: list[str]
    url: str = "http://head:8265"

    async def tail_job_logs(self, job_id: str) -> AsyncIterator[str]:  # noqa: ARG002
        await asyncio.sleep(60)
        yield ""

    def list_jobs(self) -> list[Any]:
        if not self.states:
            raise InputError(f"{self.url}: no answer in time")
        state = self.states.pop(0) if self.states[1:] else self.states[0]
        about = {"metadata": {"study": "small"}, "submission_id": "small-1", "message": "", "driver_node_id": None}
        ended = {"end_time": None, "driver_exit_code": None, "start_time": 1000}
        return [SimpleNamespace(status=SimpleNamespace(value=state), **about, **ended)]


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "_SILENT_SECONDS", 0.01)


@pytest.mark.usefixtures("_impatient")
def test_following_ends_with_the_job_also_when_the_end_of_its_log_is_lost() -> None:
    states = ["RUNNING", "RUNNING", "FAILED"]
    assert watch.follow(Silent(states), job("running"), pytest.fail).state == "failed"  # type: ignore[arg-type]


@pytest.mark.usefixtures("_impatient")
def test_a_job_that_does_not_start_is_said_and_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(watch, "_START_SECONDS", 0.05)
    with pytest.raises(WorkError, match=r"small-1: not started after 0 s; see whether the head has free memory"):
        watch.follow(Silent(["PENDING"]), job("pending"), pytest.fail)  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("waiting for small-1 to start on the head (0 s so far)\n")


@pytest.mark.usefixtures("_impatient")
def test_a_cluster_that_falls_silent_while_it_is_followed_is_one_line() -> None:
    with pytest.raises(WorkError, match=r"http://head:8265: the connection was lost; the job may still be running"):
        watch.follow(Silent([]), job("running"), pytest.fail)  # type: ignore[arg-type]

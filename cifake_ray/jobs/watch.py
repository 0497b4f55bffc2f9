"""Studies on a cluster while they run: how far they are, their logs, their end."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import aiohttp

from cifake_ray import signals
from cifake_ray.console import read_note, warn
from cifake_ray.errors import InputError, Interrupted, WorkError
from cifake_ray.jobs.client import Cluster

_TAIL_LINES = 300  # of a job's log hold its last note: behind it come retrainings and the table
_SILENT_SECONDS = 30.0  # without a line, before a request for the state of cluster and job
_START_SECONDS = 960.0  # Ray's own limit for a job's start is 900 (RAY_JOB_START_TIMEOUT_SECONDS of the head)
_STOP_SECONDS = 60.0
_POLL_SECONDS = 0.3


@dataclass(frozen=True)
class Job:
    """A study's job. `state` is Ray's word in small letters; times in seconds since 1970; `exit_code` once ended.

    `reason`: the last line of what Ray says of it, which for a failed driver is the driver's own last line.
    """

    id: str
    study: str
    storage: str
    experiment: str
    state: str
    started: float
    finished: float | None
    exit_code: int | None
    node: str | None
    reason: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    trials: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.state in ("succeeded", "failed", "stopped")

    @property
    def seconds(self) -> float:
        """Seconds that the job ran, or has run by now."""
        return max((self.finished or time.time()) - self.started, 0.0)

    @property
    def ended_well(self) -> bool:
        return self.state == "succeeded"

    @property
    def seconds_left(self) -> float | None:
        left = self.progress.get("seconds_left")
        return None if self.ended or left is None else float(left)

    def as_row(self) -> dict[str, Any]:
        """The job for machines: every field and what follows from these."""
        row = asdict(self) | {"seconds": self.seconds, "seconds_left": self.seconds_left}
        return {key: value for key, value in row.items() if key != "node"}


def study_jobs(cluster: Cluster) -> list[Job]:
    """The studies among the cluster's jobs, oldest first, without their progress."""
    return sorted(
        (_job(details) for details in cluster.list_jobs() if (details.metadata or {}).get("study")),
        key=lambda job: job.started,
    )


def find_job(cluster: Cluster, name: str) -> Job:
    """The job with this id, or the latest one of the study with this name, path or address.

    Raises InputError, naming the latest ones, when there is none.
    """
    jobs = study_jobs(cluster)
    by_id = [job for job in jobs if job.id == name]
    of_study = [job for job in jobs if name.rstrip("/") in (job.study, f"{job.storage}/{job.study}")]
    if not by_id and not of_study:
        known = ", ".join(job.id for job in reversed(jobs[-5:])) or "none"
        raise InputError(f"{name}: no job or study of this name on {cluster.url}", f"the latest jobs: {known}")
    return [*of_study, *by_id][-1]


def with_progress(cluster: Cluster, job: Job) -> Job:
    """The job with the study as a whole, read from the end of its log."""
    return _noted(job, _log_tail(cluster, job).splitlines())


def with_trials(cluster: Cluster, job: Job) -> Job:
    """The job with every trial, read from its whole log."""
    return _noted(job, str(cluster.get_job_logs(job.id)).splitlines())


def log_lines(cluster: Cluster, job: Job) -> Iterator[str]:
    """The job's log without the notes for machines."""
    for line in str(cluster.get_job_logs(job.id)).splitlines():
        if read_note(line) is None:
            yield line


def follow(cluster: Cluster, job: Job, write: Callable[[str], None]) -> Job:
    """Write the job's log line by line until the job ends; return the job as it ended.

    Raises Interrupted at Ctrl-C, which leaves the job alone, and WorkError when the connection is lost.
    """
    try:
        asyncio.run(_follow(cluster, job, write))
    except asyncio.CancelledError as error:
        raise Interrupted(
            f"no longer following; the job continues: cifake-ray logs {job.id} -f, cifake-ray stop {job.id}"
        ) from error
    except (InputError, RuntimeError, aiohttp.ClientError, OSError) as error:
        raise WorkError(
            f"{cluster.url}: the connection was lost; the job may still be running: cifake-ray logs {job.id} -f"
        ) from error
    return _wait_ended(cluster, job, "its log ended")


def stop(cluster: Cluster, job: Job) -> Job:
    """Request the job's stop, wait for its end; return the job as it ended. Raises WorkError when it does not end."""
    cluster.stop_job(job.id)
    return _wait_ended(cluster, job, "the request to stop")


def _wait_ended(cluster: Cluster, job: Job, since: str) -> Job:
    deadline = time.monotonic() + _STOP_SECONDS
    while not (now := find_job(cluster, job.id)).ended:
        if time.monotonic() > deadline:
            raise WorkError(
                f"{job.id}: not ended {_STOP_SECONDS:.0f} s after {since}; look again with `cifake-ray status {job.id}`"
            )
        time.sleep(_POLL_SECONDS)
    return now


async def _follow(cluster: Cluster, job: Job, write: Callable[[str], None]) -> None:
    task = asyncio.current_task()
    assert task is not None
    for kind in signals.KINDS:
        asyncio.get_running_loop().add_signal_handler(kind, task.cancel)
    rest = ""
    async for text in _tail(cluster, job):
        *lines, rest = (rest + text).split("\n")
        for line in lines:
            if read_note(line) is None:
                write(line)
    if rest and read_note(rest) is None:
        write(rest)


async def _tail(cluster: Cluster, job: Job) -> AsyncIterator[str]:
    """Pieces of the log as they arrive, until the log or the job has ended, as the log's end may never arrive.

    While the log is silent, a request now and then shows whether the cluster is still there.
    """
    pieces, began, ended = aiter(cluster.tail_job_logs(job.id)), time.monotonic(), False
    while True:
        piece = asyncio.ensure_future(anext(pieces))
        while not (await asyncio.wait({piece}, timeout=_SILENT_SECONDS))[0]:
            if ended:
                piece.cancel()
                return
            now = await asyncio.to_thread(find_job, cluster, job.id)
            ended = now.ended
            if now.state == "pending":
                _say_pending(job, time.monotonic() - began)
        try:
            yield piece.result()
        except StopAsyncIteration:
            return


def _say_pending(job: Job, seconds: float) -> None:
    if seconds > _START_SECONDS:
        raise WorkError(
            f"{job.id}: not started after {seconds:.0f} s; see whether the head has free memory, and "
            f"`cifake-ray status {job.id}`, or end it with `cifake-ray stop {job.id}`"
        )
    warn(f"waiting for {job.id} to start on the head ({seconds:.0f} s so far)")


def _job(details: Any) -> Job:
    metadata = details.metadata or {}
    return Job(
        id=details.submission_id,
        study=metadata["study"],
        storage=metadata.get("storage", ""),
        experiment=metadata.get("experiment", ""),
        state=details.status.value.lower(),
        started=(details.start_time or 0) / 1000,
        finished=details.end_time / 1000 if details.end_time else None,
        exit_code=details.driver_exit_code,
        node=details.driver_node_id,
        reason=(details.message or "").strip().rpartition("\n")[2],
    )


def _noted(job: Job, lines: Iterable[str]) -> Job:
    """The job with the progress that these lines of its log note."""
    progress: dict[str, Any] = {}
    trials: dict[int, dict[str, Any]] = {}
    for note in filter(None, map(read_note, lines)):
        if "trial" in note:
            trials[note["trial"]["trial_id"]] = note["trial"]
        else:
            progress |= note
    if job.ended and (counts := progress.get("trials")):  # a killed driver notes nothing any more
        counts["interrupted"] += counts["running"]
        counts["running"] = 0
        for row in trials.values():
            row["status"] = "interrupted" if row["status"] == "running" else row["status"]
    return replace(job, progress=progress, trials=[trials[number] for number in sorted(trials)])


def _log_tail(cluster: Cluster, job: Job) -> str:
    """The end of the job's log through Ray's state API (the Jobs API sends whole logs); empty before it has one."""
    if job.node is None:
        return ""
    file = f"job-driver-{job.id}.log"
    query = {"node_id": job.node, "filename": file, "lines": str(_TAIL_LINES), "timeout": "20"}
    answer = cluster.ask("GET", "/api/v0/logs/file", params=query)
    return answer.text if answer.ok else ""

"""Probe a cluster's nodes: by a job, from anywhere, or by a driver, from a machine of the cluster."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any
from uuid import uuid4

from cifake_ray.address import driver_address, wants_token
from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs import probe
from cifake_ray.jobs.client import LIKE, Cluster, NoAgentError

COMPARED = ("python", "ray", "torch", "optuna")
OWN = "cifake-ray"
_SECONDS = probe.NODE_SECONDS + 60  # Ray's connection, and a job's start besides
_POLL_SECONDS = 0.2
_AGENT_SECONDS = 20.0  # for a head that was started a moment ago


@dataclass(frozen=True)
class Node:
    """A node: `facts` as the probe's `node_facts` gives them, empty when it is silent; `object_store` in bytes."""

    name: str
    facts: Mapping[str, Any]
    cpus: float = 0.0
    gpus: float = 0.0
    object_store: float = 0.0


@dataclass(frozen=True)
class Answer:
    """Every node; which paths the driver's node has; why the driver cannot write to the storage, else None."""

    nodes: list[Node]
    exists: Mapping[str, bool]
    storage: str | None
    free_cpus: float
    seconds: float


def ask_by_job(
    cluster: Cluster, paths: Iterable[str], storage: str | None = None, packages: Iterable[str] = ()
) -> Answer:
    """Run the probe as a job without a package, which stays on Ray's list of jobs as `probe`, succeeded.

    packages: whose versions are requested besides those that the program needs. Raises WorkError when the job does not
    end in time, or fails.
    """
    started = time.monotonic()
    question = _question("auto", paths, storage, packages)
    job = _start(cluster, shlex.join(["python", "-c", Path(probe.__file__).read_text(), question]))
    while not (info := cluster.get_job_info(job)).status.is_terminal():
        if time.monotonic() - started > _SECONDS:
            cluster.stop_job(job)
            raise WorkError(
                f"{cluster.url}: a small job that probes the nodes did not end within {_SECONDS:.0f} s; see job {job} "
                "in the dashboard, and whether the head has free memory"
            )
        time.sleep(_POLL_SECONDS)
    log = str(cluster.get_job_logs(job))
    found = _read(log)
    if "error" in found:
        raise WorkError(_failed_job(cluster.url, job, info.driver_exit_code, log, found["error"]))
    return _answer(found, started)


def _start(cluster: Cluster, command: str) -> str:
    """The id of a job that runs the command. Raises NoAgentError when no node takes it in time."""
    until = time.monotonic() + _AGENT_SECONDS
    while True:
        try:
            return str(
                cluster.submit_job(
                    entrypoint=f"exec {command}",
                    submission_id=f"cifake-ray-probe-{uuid4().hex[:8]}",
                    metadata={"cifake_ray_probe": "1", "job_name": "probe"},
                )
            )
        except NoAgentError:
            if time.monotonic() > until:
                raise
            time.sleep(_POLL_SECONDS)


def ask_as_driver(head: str, paths: Iterable[str], storage: str | None = None) -> Answer:
    """Run the probe as a driver on this machine: a process of its own, so that a connection that hangs can be ended.

    Raises InputError for another Python or Ray than the cluster's, WorkError when it does not end in time, or fails.
    """
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["RAY_AUTH_MODE"] = "token" if wants_token(head) else "disabled"
    command = [sys.executable, probe.__file__, _question(driver_address(head), paths, storage)]
    try:
        ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_SECONDS, check=False)
        found = _read(ended.stdout, ended.stderr)
    except subprocess.TimeoutExpired:
        found = {"error": f"no connection within {_SECONDS:.0f} s"}
    if "ersion mismatch" in (error := found.get("error", "")):
        raise InputError(f"{head}: {error[:300]}", "run cifake-ray with the cluster's Python and Ray")
    if error:
        raise WorkError(
            f"{head}: its nodes could not be probed ({error[:300]}); look at the head's log, or, if this machine is no "
            f"node of that cluster, give its dashboard as --address {LIKE}"
        )
    return _answer(found, started)


def needed_packages() -> list[str]:
    """Every package that the program needs; only the compared ones where it runs without being installed."""
    try:
        lines = requires(OWN) or []
    except PackageNotFoundError:
        return list(COMPARED[1:])
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if "extra ==" not in line]


def _question(address: str, paths: Iterable[str], storage: str | None, packages: Iterable[str] = ()) -> str:
    wanted = [*needed_packages(), OWN, *packages]
    return json.dumps({"address": address, "packages": wanted, "paths": list(paths), "storage": storage})


def _read(text: str, otherwise: str = "") -> dict[str, Any]:
    """The probe's answer; `error` alone where there is none: the last line of what was written instead."""
    line = next((line for line in reversed(text.splitlines()) if line.startswith(probe.MARK)), None)
    if line is None:
        return {"error": (f"{text}\n{otherwise}".strip().splitlines() or ["it wrote nothing"])[-1][:300]}
    found: dict[str, Any] = json.loads(line.removeprefix(probe.MARK))
    return found


def _answer(found: dict[str, Any], started: float) -> Answer:
    nodes = [
        Node(node["name"], node["facts"] or {}, node["cpus"], node["gpus"], node["object_store"])
        for node in found["nodes"]
    ]
    return Answer(nodes, found["exists"], found["storage"], found["free_cpus"], time.monotonic() - started)


def _failed_job(url: str, job: str, code: int | None, log: str, error: str) -> str:
    if code == 127:
        return f"{url}: its head has no `python` on the PATH; activate its environment before `ray start`"
    if "No module named 'ray" in log:
        return f"{url}: `python` on its head's PATH is not Ray's; activate Ray's environment before `ray start`"
    return f"{url}: a small job that probes the nodes failed ({error}); see job {job} in the dashboard"

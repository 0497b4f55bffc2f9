"""Whether the nodes of a cluster can run what this machine would send them."""

import json
import re
import shlex
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from uuid import uuid4

from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs import probe
from cifake_ray.jobs.cluster import Cluster

COMPARED = ("python", "ray", "torch", "optuna")
_SECONDS = 90.0  # the job's start takes a few, and 30 are for the nodes
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Node:
    """A node and its versions by package name, None where it is missing; `found` is None when it did not answer."""

    name: str
    found: Mapping[str, str | None] | None


@dataclass(frozen=True)
class Answer:
    """What the probe found: every node, and which of the paths the driver's node has."""

    nodes: list[Node]
    exists: Mapping[str, bool]
    seconds: float


def probe_cluster(cluster: Cluster, paths: Iterable[str]) -> Answer:
    """Run the probe as a job without a package and take it off the list again.

    Raises WorkError when it does not end in time, or fails.
    """
    started = time.monotonic()
    asked = json.dumps({"packages": _packages(), "paths": list(paths)})
    text = Path(probe.__file__).read_text()
    job = cluster.submit_job(
        entrypoint=f"exec {shlex.join(['python', '-c', text, asked])}",
        submission_id=f"cifake-ray-probe-{uuid4().hex[:8]}",
        metadata={"cifake_ray_probe": "1"},
    )
    while not (info := cluster.get_job_info(job)).status.is_terminal():
        if time.monotonic() - started > _SECONDS:
            cluster.stop_job(job)
            raise WorkError(
                f"{cluster.url}: a small job that asks the nodes for their versions did not end within "
                f"{_SECONDS:.0f} s; see job {job} in the dashboard, and whether the head has free memory"
            )
        time.sleep(_POLL_SECONDS)
    log = str(cluster.get_job_logs(job))
    line = next((line for line in reversed(log.splitlines()) if line.startswith(probe.MARK)), None)
    if line is None:
        raise WorkError(_failure(cluster.url, job, info.driver_exit_code, log))
    cluster.delete_job(job)
    answer = json.loads(line.removeprefix(probe.MARK))
    nodes = [Node(node["node"], node["found"]) for node in answer["nodes"]]
    return Answer(nodes, answer["exists"], time.monotonic() - started)


def check_versions(nodes: Iterable[Node], here: Mapping[str, str | None] | None = None) -> None:
    """Raise InputError for the first node whose Python, ray, torch or optuna is another release, or lacks a package.

    Releases are compared as major.minor: patches change neither formats nor what is called here.
    """
    here = here or probe.find_versions(_packages())
    for node in nodes:
        if node.found is None:
            raise WorkError(
                f"node {node.name}: no answer within {probe.NODE_SECONDS:.0f} s; remove it from the cluster, or wait "
                "until it is up, and submit again"
            )
        for name in COMPARED:
            there = node.found.get(name)
            if there is not None and _release(there) != _release(here[name] or ""):
                raise InputError(f"node {node.name} has {name} {there}, here is {here[name]}; {_cure(name)}")
        if missing := [name for name, found in node.found.items() if found is None]:
            raise InputError(f"node {node.name} lacks {', '.join(missing)}; {_cure(missing[0])}")


def _packages() -> list[str]:
    """Every package that the program needs; only the compared ones where it runs without being installed."""
    try:
        lines = requires("cifake-ray") or []
    except PackageNotFoundError:
        return list(COMPARED[1:])
    return [re.split(r"[^A-Za-z0-9._-]", line)[0] for line in lines if "extra ==" not in line]


def _release(version: str) -> tuple[str, ...]:
    return tuple(version.split("+", maxsplit=1)[0].split(".")[:2])


def _cure(name: str) -> str:
    if name == "python":
        return "run cifake-ray with the cluster's Python, or start the cluster with this one"
    return "install requirements/locked.txt there as here, and start that node again"


def _failure(url: str, job: str, code: int | None, log: str) -> str:
    if code == 127:
        return f"{url}: its head has no `python` on the PATH; activate its environment before `ray start`"
    if "No module named 'ray" in log:
        return f"{url}: `python` on its head's PATH is not Ray's; activate Ray's environment before `ray start`"
    last = (log.strip().splitlines() or ["it wrote nothing"])[-1]
    return f"{url}: a small job that asks the nodes for their versions failed: {last[:300]} (job {job})"

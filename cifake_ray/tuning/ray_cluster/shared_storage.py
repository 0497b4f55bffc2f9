"""Whether every node of a cluster shares the study's storage: checked before the first trial and on nodes that join."""

import contextlib
import time
import uuid
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cifake_ray.errors import InputError
from cifake_ray.runs.resume import Storage
from cifake_ray.runs.run import Run, run_at

_ANSWER_SECONDS = 120.0  # for a node to start a process that imports this package and to write a file
_SEEN_SECONDS = 10.0  # for a file written on one node to be seen on another (network file systems cache)
_EVERY_SECONDS = 5.0  # between two looks for nodes that have joined


class SharedStorage:
    """Each node reads a file that the driver wrote and writes one that the driver reads; all are removed afterwards."""

    def __init__(self, storage: Storage) -> None:
        probe = run_at(storage, f".nodes-{uuid.uuid4().hex[:12]}")
        self.storage, self.probe = storage, Run(probe.path.absolute(), probe.url)
        self.checked = {ray.get_runtime_context().get_node_id()}
        self._asked: dict[Any, dict[str, Any]] = {}
        self._looked = time.monotonic()

    def check_all(self) -> None:
        """Wait for every node's answer. Raises InputError naming a node that does not share the storage."""
        deadline = time.monotonic() + _ANSWER_SECONDS
        self._ask_new()
        while self._asked:
            done, _ = ray.wait(list(self._asked), timeout=max(deadline - time.monotonic(), 0.1))
            if not done:
                raise InputError(
                    f"{_name(next(iter(self._asked.values())))} did not answer within {_ANSWER_SECONDS:.0f} s whether "
                    f"it shares {self.storage}",
                    "look at that node, or take it out of the cluster",
                )
            self._judge(done[0])
        self._looked = time.monotonic()

    def check_new(self) -> None:
        """Check nodes that have joined and take answers that have come, without waiting. Raises InputError."""
        if time.monotonic() - self._looked < _EVERY_SECONDS:
            return
        self._looked = time.monotonic()
        self._ask_new()
        if self._asked:
            for answer in ray.wait(list(self._asked), num_returns=len(self._asked), timeout=0)[0]:
                self._judge(answer)

    def _ask_new(self) -> None:
        new = [node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in self.checked]
        if new and not self._asked:
            self.probe.mark("driver")
        for node in new:
            pinned = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            task = ray.remote(_answer).options(name="check storage", num_cpus=0, scheduling_strategy=pinned)
            self._asked[task.remote(self.probe, node["NodeID"])] = node
            self.checked.add(node["NodeID"])

    def _judge(self, answer: Any) -> None:
        node = self._asked.pop(answer)
        try:
            fault = ray.get(answer)
        except ray.exceptions.RayError as error:
            if not any(alive["NodeID"] == node["NodeID"] and alive["Alive"] for alive in ray.nodes()):
                fault = None  # the node is gone again
            else:
                fault = f"could not run a task ({' '.join(str(error).split())[-200:]})"
        if fault is None or (fault == "" and self._seen(node["NodeID"])):
            if not self._asked:
                self._clean()
            return
        self._clean()
        raise InputError(
            f"{_name(node)} {fault or 'writes to a folder of its own under that path'}: it does not share the storage "
            f"{self.storage}",
            "give every node the same folder (NFS), name s3://…, or take the node out of the cluster",
        )

    def _seen(self, node: str) -> bool:
        deadline = time.monotonic() + _SEEN_SECONDS
        while not self.probe.marked(node):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)
        return True

    def _clean(self) -> None:
        for name in ("driver", *self.checked):
            self.probe.remove(name)
        with contextlib.suppress(OSError):  # a late node writes there meanwhile, or nobody has
            self.probe.path.rmdir()


def _answer(probe: Run, node: str) -> str:
    """What is wrong on this node, or ""; runs on the node."""
    here = probe.here()
    try:
        if not here.marked("driver"):
            return "does not see what the driver wrote"
        here.mark(node)
    except (OSError, InputError) as error:
        return f"cannot write there ({error})"
    return ""


def _name(node: dict[str, Any]) -> str:
    return f"node {node['NodeID'][:8]} ({node['NodeManagerAddress']})"

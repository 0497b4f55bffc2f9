"""Probe of a cluster's nodes, before anything goes up or for `doctor`: versions, paths, storage, room.

The probe needs Python and Ray only, and nothing of this package: the file is sent as it is, also to nodes where the
rest is missing or old. Argument: a JSON object with `address` (of the cluster), `packages`, `paths`, and `storage`
(None: not tried). Prints one line of JSON.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tempfile
import uuid
from typing import Any

MARK = "cifake-ray-probe "  # begins the line that holds the answer: Ray and the job's log print others
NODE_SECONDS = 60.0  # for a node to start a worker and answer; 10 on two busy cores


def find_versions(packages: list[str]) -> dict[str, str | None]:
    """Versions of Python and of these packages; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def find_paths(paths: list[str]) -> dict[str, bool]:
    return {path: os.path.exists(path) for path in paths}  # noqa: PTH110


def node_facts(asked: dict[str, Any], node: str, gpus: float) -> dict[str, Any]:
    """Facts of one node; runs on that node."""
    disk = shutil.disk_usage(tempfile.gettempdir())
    facts: dict[str, Any] = {
        "versions": find_versions(asked["packages"]),
        "exists": find_paths(asked["paths"]),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "shm": shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else None,  # noqa: PTH112
        "disk_free": disk.free,
        "disk_used": disk.used / disk.total,
        "storage": error_of(lambda: Markers(asked).write_beside(node)),
        "cuda": None,
    }
    if gpus:
        with contextlib.suppress(ImportError):
            import torch

            facts["cuda"] = torch.version.cuda
    return facts


class Markers:
    """Small files in the storage: each node writes one beside the driver's, and the driver reads it."""

    def __init__(self, asked: dict[str, Any]) -> None:
        self.system: Any = None
        self.start = ""
        if asked["storage"] is not None:
            from pyarrow import fs

            self.system, path = fs.FileSystem.from_uri(asked["storage"])
            self.start = f"{path}/{asked['marker']}"

    def begin(self) -> None:
        if self.system is not None:
            self.system.create_dir(os.path.dirname(self.start), recursive=True)  # noqa: PTH120
            self.write("driver")

    def write(self, name: str) -> None:
        with self.system.open_output_stream(f"{self.start}-{name}") as stream:
            stream.write(name.encode())

    def write_beside(self, node: str) -> None:
        if self.system is None:
            return
        if not self.system.get_file_info(f"{self.start}-driver").is_file:
            raise FileNotFoundError("it does not show what the driver wrote there")
        self.write(node)

    def read(self, node: str) -> None:
        if self.system is not None:
            with self.system.open_input_stream(f"{self.start}-{node}") as stream:
                if stream.read().decode() != node:
                    raise ValueError("what it wrote reads differently for the driver")

    def remove(self, names: list[str]) -> None:
        for name in names if self.system is not None else ():
            with contextlib.suppress(OSError):
                self.system.delete_file(f"{self.start}-{name}")


def error_of(work: Any) -> str | None:
    """Why the work failed, in one line; None if it did not."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def ask(asked: dict[str, Any]) -> dict[str, Any]:
    """Connect and probe every node."""
    import ray

    ray.init(address=asked["address"], log_to_driver=False, logging_level="error")
    asked = {**asked, "marker": f".cifake-ray-doctor-{uuid.uuid4().hex[:8]}"}
    failure = error_of(lambda: Markers(asked).begin())
    nodes = [_entry(node) for node in ray.nodes() if node["Alive"]]
    try:
        _ask_nodes(nodes, asked)
    finally:
        if failure is None:
            Markers(asked).remove(["driver", *(node["id"] for node in nodes)])
    free = ray.available_resources().get("CPU", 0.0)
    return {"nodes": nodes, "exists": find_paths(asked["paths"]), "storage": failure, "free_cpus": free}


def _entry(node: dict[str, Any]) -> dict[str, Any]:
    key, resources = node["NodeID"][:8], node["Resources"]
    kinds = {"cpus": "CPU", "gpus": "GPU", "object_store": "object_store_memory"}
    return {
        "key": node["NodeID"],
        "id": key,
        "name": f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {key})",
        **{name: resources.get(kind, 0.0) for name, kind in kinds.items()},
    }


def _ask_nodes(nodes: list[dict[str, Any]], asked: dict[str, Any]) -> None:
    """Add to each node its `facts`, None where it does not answer, and read its marker where the driver is."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(node_facts)
    asks = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["key"], soft=False)
        asks[task.options(scheduling_strategy=there).remote(asked, node["id"], node["gpus"])] = node
    done, _ = ray.wait(list(asks), num_returns=len(asks), timeout=NODE_SECONDS)
    for answer, node in asks.items():
        node["facts"] = None
        if answer in done:
            with contextlib.suppress(ray.exceptions.RayError):  # a node that leaves meanwhile is reported as silent
                node["facts"] = facts = ray.get(answer)
                if facts["storage"] is None:
                    facts["storage"] = error_of(lambda node=node: Markers(asked).read(node["id"]))


def main() -> None:
    try:
        answer = ask(json.loads(sys.argv[1]))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

"""What a driver on a cluster finds of its nodes: run alone, `python probe.py OPTIONS`, it prints one line of JSON.

It needs Python and Ray only, so that it also runs where the rest is missing or old: that is what it is to find out.
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
PACKAGES = ("ray", "torch", "optuna", "cifake-ray")
NODE_SECONDS = 60  # for a node to start a worker and answer; 10 on two busy cores


def versions() -> dict[str, str | None]:
    """The versions that must agree on all nodes; None for a package that is missing."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def node_facts(options: dict[str, Any], node: str, gpus: float) -> dict[str, Any]:
    """What one node says of itself; runs there."""
    disk = shutil.disk_usage(tempfile.gettempdir())
    facts: dict[str, Any] = {
        "versions": versions(),
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "shm": shutil.disk_usage("/dev/shm").free if os.path.isdir("/dev/shm") else None,  # noqa: PTH112
        "disk_free": disk.free,
        "disk_used": disk.used / disk.total,
        "data": options["data"] is None or os.path.exists(options["data"]),  # noqa: PTH110
        "storage": _error_of(lambda: write_marker(options["storage"], options["marker"], node)),
        "cuda": None,
    }
    if gpus:
        with contextlib.suppress(ImportError):
            import torch

            facts["cuda"] = torch.version.cuda
    return facts


def write_marker(storage: str, marker: str, node: str) -> None:
    """Write this node's marker beside the driver's, which must be there: else the folder is not the same one."""
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(storage)
    if system.get_file_info(f"{path}/{marker}-driver").type == fs.FileType.NotFound:
        raise FileNotFoundError("it does not show what the driver wrote there")
    with system.open_output_stream(f"{path}/{marker}-{node}") as stream:
        stream.write(node.encode())


def read_marker(storage: str, marker: str, node: str) -> None:
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(storage)
    with system.open_input_stream(f"{path}/{marker}-{node}") as stream:
        if stream.read().decode() != node:
            raise ValueError("what it wrote reads differently for the driver")


def write_driver_marker(storage: str, marker: str) -> None:
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(storage)
    system.create_dir(path, recursive=True)
    with system.open_output_stream(f"{path}/{marker}-driver") as stream:
        stream.write(b"driver")


def remove_markers(storage: str, marker: str, names: list[str]) -> None:
    from pyarrow import fs

    system, path = fs.FileSystem.from_uri(storage)
    for name in names:
        with contextlib.suppress(OSError):
            system.delete_file(f"{path}/{marker}-{name}")


def _error_of(work: Any) -> str | None:
    """None, or why it failed, in one line."""
    try:
        work()
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


def probe(options: dict[str, Any]) -> dict[str, Any]:
    """Ask every node of the connected cluster. `options`: `storage`, `data` (None: not asked), `address`."""
    import ray

    ray.init(address=options["address"], log_to_driver=False, logging_level="error")
    options = {**options, "marker": f".cifake-ray-doctor-{uuid.uuid4().hex[:8]}"}
    failure = _error_of(lambda: write_driver_marker(options["storage"], options["marker"]))
    nodes = [_node_entry(node) for node in ray.nodes() if node["Alive"]]
    try:
        _ask_nodes(nodes, options)
    finally:
        if failure is None:
            remove_markers(options["storage"], options["marker"], ["driver", *(node["node"] for node in nodes)])
    worker = ray._private.worker
    return {
        "nodes": nodes,
        "storage": failure,
        "dashboard": worker.get_dashboard_url(),
        "free_cpus": ray.available_resources().get("CPU", 0.0),
    }


def _node_entry(node: dict[str, Any]) -> dict[str, Any]:
    resources = node["Resources"]
    kinds = {"cpus": "CPU", "gpus": "GPU", "object_store": "object_store_memory", "memory": "memory"}
    entry = {name: resources.get(kind, 0.0) for name, kind in kinds.items()}
    return {"id": node["NodeID"], "node": node["NodeID"][:8], "address": node["NodeManagerAddress"], **entry}


def _ask_nodes(nodes: list[dict[str, Any]], options: dict[str, Any]) -> None:
    """Add to each node its `facts`, or None, and check its marker where the driver is."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(node_facts)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["id"], soft=False)).remote(
            options, node["node"], node["gpus"]
        ): node
        for node in nodes
    }
    done, _ = ray.wait(list(asked), num_returns=len(asked), timeout=NODE_SECONDS)
    for reference, node in asked.items():
        node["facts"] = None
        if reference in done:
            with contextlib.suppress(ray.exceptions.RayError):
                node["facts"] = facts = ray.get(reference)
                if facts["storage"] is None:
                    name = node["node"]
                    facts["storage"] = _error_of(
                        lambda name=name: read_marker(options["storage"], options["marker"], name)
                    )


def main() -> None:
    try:
        answer = probe(json.loads(sys.argv[1]))
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"}
    print(MARK + json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

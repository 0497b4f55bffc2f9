"""A small job that runs before anything goes up: versions on every node, and which paths the driver's node has.

Its text is sent as it stands, so it imports nothing of this package. Arguments: a JSON object with `packages` and
`paths`. Prints one line of JSON.
"""

import json
import platform
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

MARK = "cifake-ray-probe "
NODE_SECONDS = 30.0


def find_versions(packages: list[str]) -> dict[str, str | None]:
    """Of Python and of these packages; None for one that is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def main() -> None:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = json.loads(sys.argv[1])
    ray.init(logging_level="error", log_to_driver=False)
    task = ray.remote(num_cpus=0, max_retries=0)(find_versions)
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    asks = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(key, soft=False)).remote(asked["packages"]): key
        for key in nodes
    }
    answers: dict[str, Any] = {}
    for answer in ray.wait(list(asks), num_returns=len(asks), timeout=NODE_SECONDS)[0]:
        with suppress(ray.exceptions.RayError):  # a node that leaves meanwhile is reported as silent
            answers[asks[answer]] = ray.get(answer)
    found = [
        {"node": f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']}, {key[:8]})", "found": answers.get(key)}
        for key, node in nodes.items()
    ]
    print(MARK + json.dumps({"nodes": found, "exists": {path: Path(path).exists() for path in asked["paths"]}}))


if __name__ == "__main__":
    main()

"""What a probe of the nodes means: one check a question, over all nodes."""

from typing import Any

from cifake_ray.doctor import probe
from cifake_ray.doctor.check import Check, judged

GIB = 2**30
DISK_GIB = 5.0  # decoded images 0.4, features of ResNet50 up to layer2 0.4 a size, checkpoints, Ray's own logs
SHM_GIB = 0.5  # Ray's object store; materials and one shard of features at a time pass through it
DISK_FULL = 0.95  # share used, from which on Ray no longer writes objects to disk (RAY_local_fs_capacity_threshold)


def judge(found: dict[str, Any], *, by_job: bool) -> list[Check]:
    """The checks that follow from a probe's answer. `by_job`: a job brings our package along."""
    silent = [node["node"] for node in found["nodes"] if node["facts"] is None]
    nodes = [node for node in found["nodes"] if node["facts"] is not None]
    cure = "look at these nodes' raylet.out and memory; stop and start them"
    missing = (
        [Check("nodes", "red", f"no answer within {probe.NODE_SECONDS} s: {_names(silent)}", cure)] if silent else []
    )
    return [
        *missing,
        _versions(nodes, by_job=by_job),
        _storage(found["storage"], nodes),
        _data(nodes),
        _resources(nodes, found["free_cpus"]),
        _shared_memory(nodes),
        _disk(nodes),
        _threads(nodes),
    ]


def _names(names: list[str]) -> str:
    return f"node{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _versions(nodes: list[dict[str, Any]], *, by_job: bool) -> Check:
    """Red where a node has another version than this process; our own package may be missing if a job brings it."""
    wrong = []
    for node in nodes:
        for name, ours in probe.versions().items():
            theirs = node["facts"]["versions"].get(name)
            if theirs != ours and not (by_job and name == "cifake-ray" and theirs is None):
                wrong.append(f"{name} {theirs or 'missing'} on node {node['node']} ({ours} here)")
    shown = "; ".join(wrong) or ", ".join(f"{name} {found}" for name, found in probe.versions().items())
    return judged("versions", shown, "install the same versions on every node", red=wrong)


def _storage(failure: str | None, nodes: list[dict[str, Any]]) -> Check:
    """Red where the driver cannot write, or a node does not share what it writes."""
    cure = "choose a --storage that every node mounts at the same path, or a bucket"
    if failure:
        return Check("shared storage", "red", f"the driver cannot write there: {failure}", cure)
    wrong = [f"node {node['node']}: {why}" for node in nodes if (why := node["facts"]["storage"])]
    return judged("shared storage", "; ".join(wrong) or "each node writes, the driver reads", cure, red=wrong)


def _data(nodes: list[dict[str, Any]]) -> Check:
    wrong = [node["node"] for node in nodes if not node["facts"]["data"]]
    cure = "mount it there at the same path, or give a --data that every node has"
    return judged("data on the nodes", f"not on {_names(wrong)}" if wrong else "there", cure, red=wrong)


def _resources(nodes: list[dict[str, Any]], free: float) -> Check:
    cpus, gpus = (sum(node[kind] for node in nodes) for kind in ("cpus", "gpus"))
    blind = [node["node"] for node in nodes if node["gpus"] and node["facts"]["cuda"] is None]
    found = f"{cpus:g} CPUs ({free:g} free), {gpus:g} GPUs"
    if blind:
        return Check(
            "CPUs and GPUs", "red", f"{found}; torch without CUDA on {_names(blind)}", "install a CUDA torch there"
        )
    cure = "wait for the work that holds them, or add a node" if cpus else "start nodes with --num-cpus"
    return judged("CPUs and GPUs", found, cure, amber=free < 1, red=cpus < 1)


def _shared_memory(nodes: list[dict[str, Any]]) -> Check:
    """The object store lies in /dev/shm; where that is smaller, Ray takes files, which are slow."""
    small = [
        f"node {node['node']} has {_gib(shm)} of /dev/shm and an object store of {_gib(node['object_store'])}"
        for node in nodes
        if (shm := node["facts"]["shm"]) is not None and min(shm, node["object_store"]) < SHM_GIB * GIB
    ]
    smallest = min((node["object_store"] for node in nodes), default=0.0)
    cure = (
        f"give {SHM_GIB:g} GiB at least: --object-store-memory, and docker's --shm-size or an emptyDir of medium Memory"
    )
    return judged("object store", "; ".join(small) or f"{_gib(smallest)} or more on each node", cure, amber=small)


def _disk(nodes: list[dict[str, Any]]) -> Check:
    full = [node["node"] for node in nodes if node["facts"]["disk_used"] > DISK_FULL]
    little = [node["node"] for node in nodes if node["facts"]["disk_free"] < DISK_GIB * GIB]
    least = min((node["facts"]["disk_free"] for node in nodes), default=0.0)
    found = f"{_gib(least)} or more free on each node"
    if full:
        found = f"more than {DISK_FULL:.0%} used on {_names(full)}: Ray stops spilling objects"
    elif little:
        found = f"less than {DISK_GIB:g} GiB free on {_names(little)}"
    return judged("disk of the nodes", found, "make room in the nodes' temporary folder", amber=little, red=full)


def _threads(nodes: list[dict[str, Any]]) -> Check:
    """Ray gives each worker the threads of its CPUs, unless the node was started with a number of its own."""
    forced = [node["node"] for node in nodes if node["facts"]["threads"] not in (None, "0", "1")]
    cure = "start these nodes without OMP_NUM_THREADS: trials set their own"
    found = f"OMP_NUM_THREADS is forced on {_names(forced)}" if forced else "left to the trials"
    return judged("threads of the nodes", found, cure, amber=forced)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"

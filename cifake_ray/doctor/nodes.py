"""What the probe's answer means: one check a question, over all nodes."""

from collections.abc import Iterable

from cifake_ray.doctor.check import Check, judged
from cifake_ray.jobs.probe import NODE_SECONDS
from cifake_ray.jobs.probe_nodes import COMPARED, OWN, Answer, Node
from cifake_ray.jobs.versions import version_faults, versions_here

GIB = 2**30
DISK_GIB = 5.0  # decoded images 0.4, features of ResNet50 up to layer2 0.4 a size, checkpoints, Ray's own logs
SHM_GIB = 0.5  # Ray's object store; materials and one shard of features at a time pass through it
DISK_FULL = 0.95  # share used, from which on Ray no longer writes objects to disk (RAY_local_fs_capacity_threshold)


_NO_STORAGE = Check(
    "shared storage", "amber", "not checked: a relative path is another on every node",
    "name with --storage a folder that all nodes share, or a bucket",
)  # fmt: skip


def judge(answer: Answer, *, sent: bool, storage: str | None) -> list[Check]:
    """The checks that follow from an answer. `sent`: a job brings our package along; `storage`: None: not checked."""
    silent = [node for node in answer.nodes if not node.facts]
    nodes = [node for node in answer.nodes if node.facts]
    cure = "look at these nodes' raylet.out and memory; stop and start them"
    missing = [Check("nodes", "red", f"no answer within {NODE_SECONDS:.0f} s: {_names(silent)}", cure)]
    return [
        *(missing if silent else []),
        _versions(nodes, sent=sent),
        _NO_STORAGE if storage is None else _storage(answer.storage, nodes),
        _data(nodes),
        _resources(nodes, answer.free_cpus),
        _object_store(nodes),
        _disk(nodes),
        _threads(nodes),
    ]


def _names(nodes: Iterable[Node]) -> str:
    names = [node.name for node in nodes]
    return f"node{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _versions(nodes: list[Node], *, sent: bool) -> Check:
    """Red where a node cannot run what this process would send; see `jobs/versions.py`."""
    here = versions_here()
    faults = [fault for node in nodes for fault in version_faults(node, here, sent=sent)]
    if faults:
        return Check("versions", "red", "; ".join(fault for fault, _ in faults), faults[0][1])
    return Check("versions", "green", ", ".join(f"{name} {here[name]}" for name in (*COMPARED, OWN)))


def _storage(failure: str | None, nodes: list[Node]) -> Check:
    """Red where the driver cannot write, or a node does not share what it writes."""
    cure = "choose a --storage that every node mounts at the same path, or a bucket"
    if failure:
        return Check("shared storage", "red", f"the driver cannot write there: {failure}", cure)
    wrong = [f"node {node.name}: {why}" for node in nodes if (why := node.facts["storage"])]
    return judged("shared storage", "; ".join(wrong) or "each node writes, the driver reads", cure, red=wrong)


def _data(nodes: list[Node]) -> Check:
    wrong = [node for node in nodes if not all(node.facts["exists"].values())]
    cure = "mount it there at the same path, or give a --data that every node has"
    return judged("data on the nodes", f"not on {_names(wrong)}" if wrong else "there", cure, red=wrong)


def _resources(nodes: list[Node], free: float) -> Check:
    cpus, gpus = sum(node.cpus for node in nodes), sum(node.gpus for node in nodes)
    blind = [node for node in nodes if node.gpus and node.facts["cuda"] is None]
    found = f"{cpus:g} CPUs ({free:g} free), {gpus:g} GPUs"
    if blind:
        return Check(
            "CPUs and GPUs", "red", f"{found}; torch without CUDA on {_names(blind)}", "install a CUDA torch there"
        )
    cure = "wait for the work that holds them, or add a node" if cpus else "start nodes with --num-cpus"
    return judged("CPUs and GPUs", found, cure, amber=free < 1, red=cpus < 1)


def _object_store(nodes: list[Node]) -> Check:
    """Amber where a node's object store is small; in a /dev/shm that is too small for it, Ray takes slow files."""
    sizes = {node.name: min(node.object_store, node.facts["shm"] or node.object_store) for node in nodes}
    smallest = min(sizes, key=lambda name: sizes[name], default="")
    if (small := sum(size < SHM_GIB * GIB for size in sizes.values())) == 0:
        return Check("object store", "green", f"{_gib(sizes.get(smallest, 0.0))} or more on each node")
    found = f"less than {SHM_GIB:g} GiB on {small} of {len(nodes)} nodes, least on node {smallest}: "
    cure = "give them more: --object-store-memory, and docker's --shm-size or an emptyDir of medium Memory"
    return Check("object store", "amber", found + _gib(sizes[smallest]), cure)


def _disk(nodes: list[Node]) -> Check:
    full = [node for node in nodes if node.facts["disk_used"] > DISK_FULL]
    little = [node for node in nodes if node.facts["disk_free"] < DISK_GIB * GIB]
    least = min((node.facts["disk_free"] for node in nodes), default=0.0)
    found = f"{_gib(least)} or more free on each node"
    if full:
        found = f"more than {DISK_FULL:.0%} used on {_names(full)}: Ray stops spilling objects"
    elif little:
        found = f"less than {DISK_GIB:g} GiB free on {_names(little)}"
    return judged("disk of the nodes", found, "make room in the nodes' temporary folder", amber=little, red=full)


def _threads(nodes: list[Node]) -> Check:
    """Amber where a node was started with OMP_NUM_THREADS, which replaces a worker's one thread a CPU."""
    forced = [node for node in nodes if node.facts["threads"] not in (None, "0", "1")]
    cure = "start these nodes without OMP_NUM_THREADS: trials set their own"
    found = f"OMP_NUM_THREADS is forced on {_names(forced)}" if forced else "left to the trials"
    return judged("threads of the nodes", found, cure, amber=forced)


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB"

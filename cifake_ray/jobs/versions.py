"""Whether the nodes of a cluster can run what this machine would send them."""

from collections.abc import Iterable, Iterator, Mapping

from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs.probe import NODE_SECONDS, find_versions
from cifake_ray.jobs.probe_nodes import COMPARED, OWN, Node, needed_packages

Versions = Mapping[str, str | None]


def versions_here() -> Versions:
    return find_versions([*needed_packages(), OWN])


def check_versions(nodes: Iterable[Node], here: Versions | None = None) -> None:
    """Raise InputError for the first node that cannot run a package sent to it, WorkError for one that is silent."""
    for node in nodes:
        if not node.facts:
            raise WorkError(
                f"node {node.name}: no answer within {NODE_SECONDS:.0f} s; remove it from the cluster, or wait "
                "until it is up, and submit again"
            )
        for fault, cure in version_faults(node, here or versions_here(), sent=True):
            raise InputError(f"{fault}", f"{cure}")


def version_faults(node: Node, here: Versions, *, sent: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with a node's packages, each with its cure. `sent`: a job brings this package along.

    Releases are compared as major.minor: patches change neither formats nor what is called here.
    """
    there: Versions = node.facts["versions"]
    for name in (*COMPARED, *(() if sent else (OWN,))):
        if (found := there.get(name)) is not None and _release(found) != _release(here.get(name) or ""):
            yield f"node {node.name} has {name} {found}, here is {here.get(name)}", _cure(name)
    if missing := [name for name, found in there.items() if found is None and not (sent and name == OWN)]:
        yield f"node {node.name} lacks {', '.join(missing)}", _cure(missing[0])


def _release(version: str) -> tuple[str, ...]:
    return tuple(version.split("+", maxsplit=1)[0].split(".")[:2])


def _cure(name: str) -> str:
    if name == "python":
        return "run cifake-ray with the cluster's Python, or start the cluster with this one"
    if name == OWN:
        return "install it there as here: whoever runs `tune --address` finds this package on each node"
    return "install requirements/locked.txt there as here, and start that node again"

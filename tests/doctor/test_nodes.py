"""What follows from the answers of a cluster's nodes."""

from typing import Any

import pytest

from cifake_ray.doctor import probe
from cifake_ray.doctor.check import Check
from cifake_ray.doctor.nodes import GIB, judge


def node(name: str, **changed: Any) -> dict[str, Any]:
    """A node without fault; keys of the node, or of its facts, changed."""
    facts = {
        "versions": probe.versions(), "threads": "1", "shm": 4 * GIB, "disk_free": 100 * GIB, "disk_used": 0.5,
        "data": True, "storage": None, "cuda": None,
    }  # fmt: skip
    entry = {"node": name, "cpus": 8.0, "gpus": 0.0, "object_store": 2.0 * GIB, "memory": 8.0 * GIB}
    entry |= {key: value for key, value in changed.items() if key in entry}
    return entry | {"facts": facts | {key: value for key, value in changed.items() if key in facts}}


def judged(*nodes: dict[str, Any], storage: str | None = None, free: float = 16.0, by_job: bool = False) -> list[Check]:
    found = {"nodes": list(nodes), "storage": storage, "free_cpus": free}
    return [check for check in judge(found, by_job=by_job) if check.level != "green"]


def test_nodes_without_fault_are_green() -> None:
    assert judged(node("aaaa"), node("bbbb", gpus=1.0, cuda="12.8")) == []


@pytest.mark.parametrize(
    ("changed", "name", "level", "words"),
    [
        ({"versions": probe.versions() | {"torch": "2.1.0"}}, "versions", "red", "torch 2.1.0 on node bbbb"),
        ({"versions": probe.versions() | {"optuna": None}}, "versions", "red", "optuna missing on node bbbb"),
        ({"versions": probe.versions() | {"cifake-ray": None}}, "versions", "red", "cifake-ray missing on node bbbb"),
        ({"storage": "FileNotFoundError: no"}, "shared storage", "red", "node bbbb: FileNotFoundError"),
        ({"data": False}, "data on the nodes", "red", "not on node bbbb"),
        ({"gpus": 1.0}, "CPUs and GPUs", "red", "torch without CUDA on node bbbb"),
        ({"shm": 2**26}, "object store", "amber", "node bbbb has 0.1 GiB of /dev/shm"),
        ({"object_store": 2.0**27}, "object store", "amber", "an object store of 0.1 GiB"),
        ({"disk_free": GIB}, "disk of the nodes", "amber", "less than 5 GiB free on node bbbb"),
        ({"disk_used": 0.97}, "disk of the nodes", "red", "more than 95% used on node bbbb"),
        ({"threads": "8"}, "threads of the nodes", "amber", "forced on node bbbb"),
    ],
)
def test_a_node_at_fault_is_named_with_a_cure(changed: dict[str, Any], name: str, level: str, words: str) -> None:
    (check,) = judged(node("aaaa"), node("bbbb", **changed))
    assert (check.name, check.level) == (name, level)
    assert words in check.found
    assert "aaaa" not in check.found
    assert check.cure


def test_a_job_brings_our_package_along_but_not_another_version_of_it() -> None:
    missing, other = ({"versions": probe.versions() | {"cifake-ray": found}} for found in (None, "0.0.1"))
    assert judged(node("aaaa", **missing), by_job=True) == []
    assert judged(node("aaaa", **other), by_job=True)[0].name == "versions"


def test_a_node_that_does_not_answer_is_red_and_the_others_are_judged() -> None:
    silent = node("bbbb") | {"facts": None}
    checks = judged(node("aaaa", data=False), silent)
    assert [(check.name, check.level) for check in checks] == [("nodes", "red"), ("data on the nodes", "red")]
    assert "node bbbb" in checks[0].found


def test_a_storage_that_the_driver_cannot_write_is_red() -> None:
    assert judged(node("aaaa"), storage="PermissionError: no")[0].found.startswith("the driver cannot write there")


def test_a_cluster_that_others_keep_busy_is_amber_and_one_without_cpus_red() -> None:
    assert judged(node("aaaa"), free=0.0)[0].level == "amber"
    assert judged(node("aaaa", cpus=0.0), free=0.0)[0].level == "red"

"""What follows from the answers of a cluster's nodes."""

from typing import Any

import pytest

from cifake_ray.doctor.check import Check
from cifake_ray.doctor.nodes import GIB, judge
from cifake_ray.jobs.probe_nodes import Answer, Node
from cifake_ray.jobs.versions import versions_here

HERE = versions_here()


def node(name: str, **changed: Any) -> Node:
    """A node without fault; keys of the node, or of its facts, changed."""
    facts = {
        "versions": HERE, "exists": {"/data": True}, "threads": "1", "shm": 4 * GIB, "disk_free": 100 * GIB,
        "disk_used": 0.5, "storage": None, "cuda": None,
    }  # fmt: skip
    entry = {"cpus": 8.0, "gpus": 0.0, "object_store": 2.0 * GIB}
    entry |= {key: value for key, value in changed.items() if key in entry}
    return Node(name, facts | {key: value for key, value in changed.items() if key in facts}, **entry)


def judged(*nodes: Node, storage: str | None = None, free: float = 16.0, sent: bool = False) -> list[Check]:
    answer = Answer(list(nodes), {}, storage, free, 0.0)
    return [check for check in judge(answer, sent=sent, storage="/shared") if check.level != "green"]


def test_nodes_without_fault_are_green() -> None:
    assert judged(node("aaaa"), node("bbbb", gpus=1.0, cuda="12.8")) == []


@pytest.mark.parametrize(
    ("changed", "name", "level", "words"),
    [
        ({"versions": HERE | {"torch": "2.1.0"}}, "versions", "red", "node bbbb has torch 2.1.0"),
        ({"versions": HERE | {"optuna": None}}, "versions", "red", "node bbbb lacks optuna"),
        ({"versions": HERE | {"cifake-ray": None}}, "versions", "red", "node bbbb lacks cifake-ray"),
        ({"storage": "FileNotFoundError: no"}, "shared storage", "red", "node bbbb: FileNotFoundError"),
        ({"exists": {"/data": False}}, "data on the nodes", "red", "not on node bbbb"),
        ({"gpus": 1.0}, "CPUs and GPUs", "red", "torch without CUDA on node bbbb"),
        ({"shm": 2**26}, "object store", "amber", "less than 0.5 GiB on 1 of 2 nodes, least on node bbbb: 0.1 GiB"),
        ({"object_store": 2.0**27}, "object store", "amber", "least on node bbbb: 0.1 GiB"),
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


def test_a_job_brings_our_package_along() -> None:
    for found in (None, "9.0.1"):
        other = node("aaaa", versions=HERE | {"cifake-ray": found})
        assert judged(other, sent=True) == []
        assert [check.name for check in judged(other)] == ["versions"]


def test_a_node_that_does_not_answer_is_red_and_the_others_are_judged() -> None:
    silent = Node("bbbb", {})
    checks = judged(node("aaaa", exists={"/data": False}), silent)
    assert [(check.name, check.level) for check in checks] == [("nodes", "red"), ("data on the nodes", "red")]
    assert "node bbbb" in checks[0].found


def test_a_storage_that_the_driver_cannot_write_is_red() -> None:
    assert judged(node("aaaa"), storage="PermissionError: no")[0].found.startswith("the driver cannot write there")


def test_a_cluster_that_others_keep_busy_is_amber_and_one_without_cpus_red() -> None:
    assert judged(node("aaaa"), free=0.0)[0].level == "amber"
    assert judged(node("aaaa", cpus=0.0), free=0.0)[0].level == "red"

"""Which clusters are refused for what is installed on their nodes."""

import pytest

from cifake_ray.errors import InputError, WorkError
from cifake_ray.jobs.probe_nodes import Node
from cifake_ray.jobs.versions import check_versions, versions_here

HERE = {"python": "3.11.7", "ray": "2.60.0", "torch": "2.15.0", "optuna": "5.0.0", "pandas": "3.1.1"}


def node(**other: str | None) -> Node:
    return Node("gpu-1 (10.0.0.7, 3f9c21aa)", {"versions": HERE | other})


def test_nodes_with_the_same_releases_are_accepted() -> None:
    builds = node(torch="2.15.0+cu130", python="3.11.9", ray="2.60.1", pandas="3.0.0")
    check_versions([node(), builds], HERE)


@pytest.mark.parametrize(
    ("package", "there", "cure"),
    [
        ("python", "3.12.7", "run cifake-ray with the cluster's Python"),
        ("ray", "2.59.0", "install requirements/locked.txt there"),
        ("torch", "2.14.1+cpu", "install requirements/locked.txt there"),
        ("optuna", "4.9.0", "install requirements/locked.txt there"),
    ],
)
def test_another_release_is_refused_with_the_nodes_name_both_versions_and_the_cure(
    package: str, there: str, cure: str
) -> None:
    with pytest.raises(InputError) as refusal:
        check_versions([node(), node(**{package: there})], HERE)
    line = str(refusal.value)
    assert line.startswith(f"node gpu-1 (10.0.0.7, 3f9c21aa) has {package} {there}, here is {HERE[package]}; {cure}")
    assert "\n" not in line


def test_a_missing_package_is_named() -> None:
    with pytest.raises(InputError, match="lacks optuna, pandas; install requirements"):
        check_versions([node(optuna=None, pandas=None)], HERE)


def test_a_node_that_does_not_answer_is_named() -> None:
    with pytest.raises(WorkError, match=r"node gpu-2: no answer within 60 s; remove it from the cluster"):
        check_versions([node(), Node("gpu-2", {})], HERE)


def test_this_machine_would_accept_itself() -> None:
    here = versions_here()
    assert {"python", "ray", "torch", "optuna", "pyarrow", "cifake-ray"} <= here.keys()
    check_versions([Node("here", {"versions": here})])


def test_a_sent_package_need_not_be_installed_there() -> None:
    check_versions([node(**{"cifake-ray": None}), node(**{"cifake-ray": "0.0.1"})], HERE)

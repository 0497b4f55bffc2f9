"""The cluster files of `ray up`: what Ray's own launcher makes of them, and what they must not leave open."""

from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler._private.docker import docker_start_cmds
from ray.autoscaler._private.util import prepare_config, validate_config

from tests.cluster.conftest import CLUSTER, read_yaml

FILES = sorted(path.relative_to(CLUSTER) for path in (CLUSTER / "ray-up").glob("*.yaml"))
CLOUDS = [Path("ray-up/aws.yaml"), Path("ray-up/gcp.yaml")]
SPOT = {
    "aws": lambda node: node.get("InstanceMarketOptions") == {"MarketType": "spot"},
    "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
}


def load(path: Path) -> dict[str, Any]:
    """The cluster as `ray up` sees it, with Ray's defaults filled in."""
    (tree,) = read_yaml(path)
    return dict(prepare_config(tree))


def test_there_is_a_file_for_each_place() -> None:
    assert [path.stem for path in FILES] == ["aws", "gcp", "on-premises"]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_ray_up_accepts_the_file(path: Path) -> None:
    validate_config(load(path))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_rays_defaults_install_and_open_nothing(path: Path) -> None:
    cluster = load(path)
    assert cluster["setup_commands"] == cluster["head_setup_commands"] == cluster["worker_setup_commands"] == []
    start = " ".join([*cluster["head_start_ray_commands"], *cluster["worker_start_ray_commands"]])
    assert "--dashboard-host=127.0.0.1" in start
    assert "0.0.0.0" not in start


@pytest.mark.parametrize("path", FILES, ids=str)
def test_nodes_start_the_pinned_image_with_the_token_of_this_machine(path: Path, image_tag: str) -> None:
    cluster = load(path)
    docker = cluster["docker"]
    assert docker["image"].rpartition("/")[2].startswith(image_tag)
    assert cluster["file_mounts"] == {"/home/ray/.ray/auth_token": "~/.ray/auth_token"}
    command = docker_start_cmds(
        "ubuntu", docker["image"], cluster["file_mounts"], "name", docker["run_options"], "c", "/home/ray", "docker"
    )
    assert "--env RAY_AUTH_MODE=token" in command
    assert ":/home/ray/.ray/auth_token " in command


@pytest.mark.parametrize("path", CLOUDS, ids=str)
def test_workers_are_spot_with_cpus_and_with_gpus_and_the_head_is_neither(path: Path) -> None:
    cluster = load(path)
    kinds = cluster["available_node_types"]
    spot = SPOT[cluster["provider"]["type"]]
    head = kinds.pop(cluster["head_node_type"])
    assert head["resources"] == {"CPU": 0}
    assert not spot(head["node_config"])
    assert all(spot(kind["node_config"]) for kind in kinds.values())
    assert {"GPU" in kind["resources"] for kind in kinds.values()} == {True, False}
    assert any(kind["min_workers"] for kind in kinds.values()), "a study fills the nodes that are there"
    assert all(kind["min_workers"] < kind["max_workers"] for kind in kinds.values()), "nothing to autoscale"


def test_aws_knows_every_setting_of_a_node() -> None:
    session = pytest.importorskip("botocore.session").get_session()
    from botocore.validate import ParamValidator

    request = session.get_service_model("ec2").operation_model("RunInstances").input_shape
    for name, kind in load(Path("ray-up/aws.yaml"))["available_node_types"].items():
        report = ParamValidator().validate(kind["node_config"] | {"MinCount": 1, "MaxCount": 1}, request)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"

"""The image and the compose file: linted, pinned, without root and without secrets, published on 127.0.0.1 only."""

import re
import subprocess
import sys
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

from tests.cluster.conftest import CLUSTER, ROOT

DOCKER = CLUSTER / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
INSTRUCTIONS = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()


def arguments(name: str) -> list[str]:
    """What follows each instruction of this name, in order."""
    return [line.split(maxsplit=1)[1] for line in INSTRUCTIONS if line.split(maxsplit=1)[:1] == [name]]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    """compose.yaml with its defaults in place of the environment's variables."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", (DOCKER / "compose.yaml").read_text())
    return dict(yaml.safe_load(text))


def test_the_linter_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    ended = subprocess.run([linter, DOCKER / "Dockerfile"], capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout) == (0, "")


def test_every_base_is_pinned_to_a_patch_version() -> None:
    froms = [line.partition(" AS ") for line in arguments("FROM")]
    bases = {base for base, _, _ in froms} - {stage for _, _, stage in froms} - {"install-${ACCELERATOR}"}
    assert bases == {"python:${PYTHON}-slim-bookworm"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", dict(line.split("=") for line in arguments("ARG"))["PYTHON"])


def test_the_last_user_is_not_root_and_has_a_number_that_kubernetes_can_check() -> None:
    (user,) = arguments("USER")
    assert int(user) > 0


def test_no_secret_enters_the_image() -> None:
    assert not arguments("ADD")
    assert not re.search(r"auth_token|RAY_AUTH_TOKEN|password|secret", "\n".join(INSTRUCTIONS), flags=re.IGNORECASE)
    assert "RAY_AUTH_MODE=token" in " ".join(arguments("ENV"))


def test_packages_come_from_the_lock_with_hashes() -> None:
    installs = [part for line in arguments("RUN") for part in line.split("&&") if " pip install" in part]
    assert len(installs) == 6
    checked = ("--require-hashes", "--constraints requirements/locked.txt", "--build-constraints requirements/locked")
    (unchecked,) = [part for part in installs if not any(option in part for option in checked)]
    assert "--torch-backend cpu" in unchecked
    assert (ROOT / "requirements" / "locked.txt").read_text().count("--hash=sha256:") > 1000


def test_only_what_the_image_needs_is_sent_to_the_builder() -> None:
    everything, *kept = [
        line for line in (DOCKER / "Dockerfile.dockerignore").read_text().splitlines() if not line.startswith("#")
    ]
    assert everything == "*"
    allowed = [line.removeprefix("!") for line in kept if line.startswith("!")]
    sources = [word.rstrip("/") for line in arguments("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert sorted(sources) == sorted(allowed)
    for path in (".git", "data", "results", ".venv", ".env", "cluster/docker/compose.yaml"):
        assert not any(fnmatch(path, pattern) for pattern in allowed)


def test_the_compose_file_follows_the_specification(compose: dict[str, Any]) -> None:
    PyCompose.from_yaml(yaml.safe_dump(compose)).to_spec()


def test_every_published_port_is_this_machines_alone(compose: dict[str, Any]) -> None:
    ports = [port for service in compose["services"].values() for port in service.get("ports", [])]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_there_are_a_head_and_cpu_and_gpu_workers_of_one_image(compose: dict[str, Any], image_tag: str) -> None:
    services = compose["services"]
    assert set(services) == {"head", "worker", "worker-gpu"}
    assert {service["image"] for service in services.values()} == {f"{image_tag}cpu"}
    assert {"GPU" if service.get("deploy") else "CPU" for service in services.values()} == {"GPU", "CPU"}


def test_every_node_has_the_token_room_in_shared_memory_and_the_shared_folders(compose: dict[str, Any]) -> None:
    assert compose["secrets"]["ray_token"] == {"environment": "RAY_AUTH_TOKEN"}
    for service in compose["services"].values():
        assert service["environment"]["RAY_AUTH_MODE"] == "token"
        assert service["environment"]["RAY_AUTH_TOKEN_PATH"] == "/run/secrets/ray_token"
        assert service["secrets"] == ["ray_token"]
        assert service["shm_size"].endswith("gb")
        assert "shared:/shared" in service["volumes"]
        assert service["mem_limit"]


def test_the_cloud_sdks_are_pinned_with_hashes() -> None:
    lines = (DOCKER / "cloud.txt").read_text().splitlines()
    pins = [line for line in lines if re.match(r"[a-z]", line)]
    assert {"boto3", "google-api-python-client"} <= {line.partition("==")[0] for line in pins}
    assert all("==" in line and line.endswith("\\") for line in pins)

"""What doctor says of this machine when something is wrong with it."""

import os
from pathlib import Path

import pytest

from cifake_ray.doctor import Check, machine, ports, run_checks


def found(name: str, storage: str | Path = "runs", source: str | None = None, address: str | None = None) -> Check:
    return {check.name: check for check in machine.machine_checks(str(storage), source, address)}[name]


def test_a_machine_that_can_run_studies_has_no_red_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "ray_listeners", list)  # those of others on this machine
    checks = run_checks(str(tmp_path), "sample")
    assert {"python", "packages", "threads", "/dev/shm", "cache", "storage", "data", "clusters"} <= {
        check.name for check in checks
    }
    assert [check for check in checks if check.level == "red"] == []
    assert all(check.cure for check in checks if check.level != "green")


def test_a_package_outside_its_range_is_named_and_an_extra_is_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "requires", lambda _: ["numpy<1", "nosuchpackage>=2", "another>=1; extra == 'x'"])
    checks = {check.name: check for check in machine._packages()}
    assert checks.keys() == {"numpy", "nosuchpackage"}
    assert checks["nosuchpackage"].found == "missing, >=2 is needed"
    assert checks["numpy"].level == "red"


def test_threads_forced_on_every_process_are_amber(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert found("threads").level == "amber"
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert found("threads").level == "green"


def test_a_cache_that_cannot_be_written_is_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "file" / "cache"))
    assert found("cache").level == "red"
    assert "CIFAKE_RAY_CACHE" in found("cache").cure


def test_a_temporary_folder_too_long_for_rays_sockets_or_missing_is_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 60)
    long.mkdir()
    for folder, why in ((long, "too long for Ray's sockets"), (tmp_path / "none", "no such folder")):
        monkeypatch.setenv("RAY_TMPDIR", str(folder))
        assert found("temporary folder").level == "red"
        assert why in found("temporary folder").found


def test_an_address_in_the_environment_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    check = found("clusters")
    assert (check.level, check.found) == ("amber", "RAY_ADDRESS is 10.0.0.1:6379: Ray's own commands go there")


@pytest.mark.usefixtures("ray_session")
def test_a_cluster_that_a_bare_ray_init_would_join_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert found("clusters").level == "amber"
    assert "Ray's own commands may take" in found("clusters").found


def test_a_cluster_that_its_nodes_joined_by_several_names_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    aliases = {"127.0.0.1:6379", "LOCALHOST:6379", "localhost:6379"}
    monkeypatch.setattr("ray._private.services.find_gcs_addresses", lambda: aliases)
    check = found("clusters", address="127.0.0.1:6379")
    assert (check.level, check.found) == ("green", "127.0.0.1:6379 on this host")


def test_a_token_that_others_can_read_is_amber_and_never_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = tmp_path / "token"
    token.write_text("secretsecretsecretsecretsecret")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    token.chmod(0o644)
    assert found("token file").level == "amber"
    token.chmod(0o600)
    assert found("token file").level == "green"
    assert "secret" not in str(machine.machine_checks("runs", None, None))


def test_images_that_are_not_there_are_red(tmp_path: Path) -> None:
    assert found("data", source=str(tmp_path / "none")).level == "red"
    assert found("data", source="sample").level == "green"


@pytest.mark.skipif(
    os.geteuid() == 0, reason="it is about a folder without the right to write, and root has every right"
)
def test_a_storage_that_cannot_be_written_is_red(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert found("storage", tmp_path / "runs").level == "red"


def test_the_storage_and_data_of_a_remote_cluster_are_not_looked_for_here() -> None:
    names = {check.name for check in machine.machine_checks("runs", "/nowhere", "http://127.0.0.1:8265")}
    assert not names & {"storage", "data"}

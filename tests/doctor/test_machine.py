"""What doctor says of this machine when something is wrong with it."""

import json
import os
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray import cli
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


def pictures(folder: Path, count: int = 10) -> list[Path]:
    """Empty files: doctor lists, and decodes nothing."""
    folder.mkdir(parents=True)
    files = [folder / f"{at}.png" for at in range(count)]
    for file in files:
        file.touch()
    return files


def test_images_are_listed_as_the_experiment_reads_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for word in ("human", "sdxl"):
        pictures(tmp_path / "set" / word)
    file = tmp_path / "a.yaml"
    data = {"source": str(tmp_path / "set"), "labels": {"fake": ["sdxl"], "real": ["human"]}, "test_fraction": 0.2}
    file.write_text(json.dumps({"name": "a", "model": {"kind": "cnn"}, "data": data}))
    monkeypatch.setattr(sys, "argv", ["cifake-ray", "doctor", str(file), "--storage", str(tmp_path), "--json"])
    with pytest.raises(SystemExit):
        cli.main()
    (check,) = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "data"]
    told = "train 10 FAKE + 10 REAL, test: 20 % of train, drawn"
    assert (check["level"], check["found"]) == ("green", f"{tmp_path / 'set'}: {told}")


def test_what_a_study_would_refuse_of_its_source_is_red_in_one_line(tmp_path: Path) -> None:
    pictures(tmp_path / "set" / "sdxl")
    check = found("data", source=str(tmp_path / "set"))
    assert check.level == "red"
    assert check.found == f"{tmp_path / 'set'}: no folder FAKE or REAL (folders with files found: sdxl)"
    assert "data.labels" in check.cure
    rows = [f"set/sdxl/{at}.png,{label},train" for at, label in enumerate(["fake", "real"] * 5)]
    (tmp_path / "manifest.csv").write_text("\n".join(["path,label,part", *rows]))
    check = found("data", source=str(tmp_path / "manifest.csv"))
    assert (check.level, "data.test_fraction: 0.2" in check.cure) == ("red", True)


def test_a_parquet_folder_is_listed_with_its_labels(tmp_path: Path) -> None:
    for part in ("train", "test"):
        table = pa.table({"image": [b"x"] * 6, "label": ["fake", "real", "fake"] * 2})
        pq.write_table(table, tmp_path / f"{part}.parquet")
    check = found("data", source=str(tmp_path))
    assert (check.level, check.found.split(": ")[1]) == ("green", "train 4 FAKE + 2 REAL, test 4 FAKE + 2 REAL")


@pytest.mark.skipif(
    os.geteuid() == 0, reason="it is about a folder without the right to write, and root has every right"
)
def test_a_storage_that_cannot_be_written_is_red(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert found("storage", tmp_path / "runs").level == "red"


def test_the_storage_and_data_of_a_remote_cluster_are_not_looked_for_here() -> None:
    names = {check.name for check in machine.machine_checks("runs", "/nowhere", "http://127.0.0.1:8265")}
    assert not names & {"storage", "data"}

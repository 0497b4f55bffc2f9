"""What goes up to a cluster with a study, and what never does."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import cifake_ray
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, load_experiment
from cifake_ray.jobs.package import EXPERIMENT_FILE, build_package
from tests.own_net import write_experiment

EXPERIMENT = Experiment.model_validate({"name": "small", "model": {"kind": "cnn"}})
ROOT = Path(cifake_ray.__file__).parent


def files(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the package and its experiments, as a checkout has them, which the package is built from."""
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT, tmp_path / "checkout" / "cifake_ray", ignore=ignore)
    shutil.copytree(ROOT.parent / "search_spaces", tmp_path / "checkout" / "search_spaces")
    monkeypatch.setattr(cifake_ray, "__file__", str(tmp_path / "checkout" / "cifake_ray" / "__init__.py"))
    return tmp_path / "checkout"


def test_the_package_is_the_program_its_experiments_and_the_experiment(checkout: Path, tmp_path: Path) -> None:
    package = build_package(tmp_path / "up", EXPERIMENT)
    spaces = {f"cifake_ray/search_spaces/{name}" for name in files(checkout / "search_spaces")}
    assert files(package.folder) == {f"cifake_ray/{name}" for name in files(checkout / "cifake_ray")} | spaces | {
        EXPERIMENT_FILE
    }
    assert package.files == len(files(package.folder))
    assert 100_000 < package.size < 2_000_000
    assert load_experiment(package.folder / EXPERIMENT_FILE) == EXPERIMENT


@pytest.mark.usefixtures("checkout")
def test_the_users_own_network_goes_up_beside_the_experiment_and_loads_there(tmp_path: Path) -> None:
    loaded = load_experiment(write_experiment(tmp_path / "mine"))
    folder = build_package(tmp_path / "up", loaded).folder
    assert files(folder) - {f"cifake_ray/{name}" for name in files(folder / "cifake_ray")} == {
        EXPERIMENT_FILE, "study/my_net.py"
    }  # fmt: skip
    there = load_experiment(folder / EXPERIMENT_FILE)
    assert there.model == loaded.model.with_file(there.model.own_file)
    assert there.model.own_file.content == loaded.model.own_file.content
    assert there.model.own_file.trusted


def test_git_data_results_environments_and_caches_never_go_up(checkout: Path, tmp_path: Path) -> None:
    clean = files(build_package(tmp_path / "clean", None).folder)
    for name in (".git/config", "data/train.parquet", "results/runs/a/trials.csv", ".venv/bin/python", "secrets.env"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("x")
    for name in ("__pycache__/run.cpython-311.pyc", "models/w.safetensors", "models/w.pth", ".env", "data/images.npy"):
        (checkout / "cifake_ray" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "cifake_ray" / name).write_text("x")
    assert files(build_package(tmp_path / "up", None).folder) == clean


def test_a_large_file_among_the_sources_is_named_instead_of_sent(checkout: Path, tmp_path: Path) -> None:
    (checkout / "cifake_ray" / "dump.bin").write_bytes(bytes(21 * 2**20))
    with pytest.raises(InputError, match=r"2[2-9] MB, far more than the program; remove cifake_ray/dump\.bin"):
        build_package(tmp_path / "up", EXPERIMENT)


def test_an_installed_copy_sends_the_same_and_what_is_sent_runs_by_itself(tmp_path: Path) -> None:
    first = build_package(tmp_path / "first", None).folder  # laid out as in a wheel: the experiments inside
    program = (
        "import sys; from pathlib import Path; from cifake_ray.jobs.package import build_package; "
        "build_package(Path(sys.argv[1]), None)"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "second")], cwd=first, check=True)
    assert files(tmp_path / "second") == {name for name in files(first) if "__pycache__" not in name}
    listed = subprocess.run(
        [sys.executable, "-m", "cifake_ray", "spaces", "--json"], cwd=first, capture_output=True, text=True, check=True
    )
    assert '"file": "cifake_ray/search_spaces/cnn.yaml"' in listed.stdout

"""What goes up to the cluster with a study: this package, the experiment, and the Python file that it names."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import cifake_ray
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, save_experiment
from cifake_ray.runs.trust import remember_file

EXPERIMENT_FILE = "study/experiment.yaml"  # in a folder of its own: no file beside it hides a module of Python's
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*", "*.safetensors", "*.pth", "*.npy", "*.npz")
_LARGEST = 20 * 2**20  # bytes; the package has 0.5 MB, so more means that something lies in its folder by mistake


@dataclass(frozen=True)
class Package:
    """A folder that is ready to go up."""

    folder: Path
    files: int
    size: int


def build_package(folder: Path, experiment: Experiment | None) -> Package:
    """Copy the package, with the shipped experiments as in a wheel, and the experiment into the empty `folder`, with
    the Python file of its model.

    Raises InputError when that is far larger than it should be.
    """
    source = Path(cifake_ray.__file__).parent
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=_LEFT_OUT)
    if not (copy / "search_spaces").is_dir():  # a checkout has them beside the package
        shutil.copytree(source.parent / "search_spaces", copy / "search_spaces", ignore=_LEFT_OUT)
    if experiment is not None:
        _write_experiment(folder / EXPERIMENT_FILE, experiment)
    sizes = {file: file.stat().st_size for file in folder.rglob("*") if file.is_file()}
    if (size := sum(sizes.values())) > _LARGEST:
        largest = max(sizes, key=lambda file: sizes[file]).relative_to(folder)
        raise InputError(f"{source}: {size / 1e6:,.0f} MB, far more than the program", f"remove {largest} from it")
    return Package(folder, len(sizes), size)


def _write_experiment(file: Path, experiment: Experiment) -> None:
    file.parent.mkdir()
    file.write_text(save_experiment(experiment))
    if (own := experiment.model.own_file) is not None:
        (file.parent / own.name).write_bytes(own.content)
        remember_file(own)

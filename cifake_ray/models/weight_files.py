"""Files of pretrained weights: where they lie, and their tensors. Nothing is unpickled.

`CIFAKE_RAY_WEIGHTS` is a folder searched before any download; downloads are kept in the cache folder under `weights/`.
"""

import os
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cifake_ray.errors import InputError
from cifake_ray.models.download import downloads
from cifake_ray.storage.download import file_sha256

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
RANDOM = "random"  # the weights of a network initialised at seed 0
_PREFIXES = ("module.", "backbone.", "model.", "net.", "network.", "encoder.", "_orig_mod.")  # of wrappers
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "backbone", "weights")  # keys of training checkpoints
_LARGEST = 1 << 30  # bytes; larger files in the folder are not worth hashing, and are named by their path
T = TypeVar("T")


@dataclass(frozen=True)
class Weights:
    """One set of weights of the network `kind`. `stages`: what the file covers; `path`: None for random weights."""

    name: str
    sha256: str
    stages: tuple[str, ...]
    licence: str
    path: Path | None
    kind: str = "resnet50"


def load_tensors(weights: Weights) -> dict[str, Tensor]:
    """The file's tensors by their names. Raises InputError when the file changed since it was resolved."""
    assert weights.path is not None, "random weights have no file"
    if file_sha256(weights.path) != weights.sha256:
        raise InputError(f"{weights.path}: changed since it was resolved as {weights.name}", "run the command again")
    return _read(weights.path)


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a file; of a .safetensors file only the header is read."""
    _refuse_other_files(path)
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in _read(path).items()}
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error
    return _without_prefixes(shapes)


def _refuse_other_files(path: Path) -> None:
    """Raise InputError for what is often found in the place of a weights file."""
    with path.open("rb") as file:
        start = file.read(200).lstrip()
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path}: a Git LFS pointer, not the file itself", "fetch it with `git lfs pull`")
    if start[:1] == b"<":
        raise InputError(f"{path}: a web page, not a file of tensors", "download the file itself")


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return _without_prefixes({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118 (no mapping)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: refused, not a file of plain tensors (UnpicklingError): damaged, or a pickled model, which could "
            "run code",
            "save its state_dict() as .safetensors",
        ) from error
    except (SafetensorError, OSError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path}: refused, not a file of plain tensors ({type(error).__name__})") from error
    return _without_prefixes(_unwrapped(loaded, path))


def _unwrapped(loaded: object, path: Path) -> dict[str, Tensor]:
    """The state_dict itself, or the state_dict in a training checkpoint."""
    inner = (loaded[key] for key in _CONTAINERS if key in loaded) if isinstance(loaded, dict) else ()
    for candidate in (loaded, *inner):
        if isinstance(candidate, dict) and candidate and all(isinstance(one, Tensor) for one in candidate.values()):
            return dict(candidate)
    found = f"dict with {', '.join(map(str, list(loaded)[:5]))}" if isinstance(loaded, dict) else type(loaded).__name__
    raise InputError(f"{path}: holds {found}", "expected a state_dict (names and tensors)")


def _without_prefixes(named: dict[str, T]) -> dict[str, T]:
    """The same values, without the prefixes of wrappers that all names have."""
    for _ in _PREFIXES:
        prefix = next((one for one in _PREFIXES if named and all(name.startswith(one) for name in named)), None)
        if prefix is None:
            break
        named = {name.removeprefix(prefix): value for name, value in named.items()}
    return named


def candidates() -> Iterator[Path]:
    """Weight files at the top level of CIFAKE_RAY_WEIGHTS, then downloaded ones. A named folder must exist."""
    named = os.environ.get("CIFAKE_RAY_WEIGHTS")
    if named and not Path(named).is_dir():
        raise InputError(f"CIFAKE_RAY_WEIGHTS={named}: no such folder", "correct or unset it")
    for folder in (Path(named) if named else None, downloads()):
        if folder and folder.is_dir():
            files = (path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file())
            yield from (path.absolute() for path in files if path.stat().st_size <= _LARGEST)


def known_file(is_file: Callable[[str], bool]) -> Path | None:
    """The first of the candidates whose SHA-256 is right."""
    return next((path for path in candidates() if is_file(file_sha256(path))), None)


def find_path(spec: str) -> Path:
    """The file itself, or the file of that path or name in CIFAKE_RAY_WEIGHTS: a run may be read elsewhere."""
    folder = Path(os.environ.get("CIFAKE_RAY_WEIGHTS") or ".")
    for path in (Path(spec).expanduser(), folder / spec, folder / Path(spec).name):
        if path.is_file():
            return path.absolute()
    raise InputError(
        f"weights {spec}: no such file", "give its path, or name the folder of such a file as CIFAKE_RAY_WEIGHTS"
    )

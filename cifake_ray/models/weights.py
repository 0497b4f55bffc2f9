"""Backbone weights: identified by SHA-256, never by name, and read as plain tensors.

`CIFAKE_RAY_WEIGHTS` is a folder searched before any download; downloads are kept in the cache folder under `weights/`.
"""

import os
import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.experiment.families.stages import deepest, stages_of, taps_of
from cifake_ray.models.download import download_file, downloads
from cifake_ray.models.published_weights import KNOWN, PublishedWeights
from cifake_ray.storage.download import file_sha256

SUFFIXES = (".safetensors", ".pth", ".pt", ".ckpt", ".bin")
_PREFIXES = ("module.", "backbone.", "model.", "net.", "network.", "encoder.", "_orig_mod.")  # of wrappers
_CONTAINERS = ("state_dict", "model_state_dict", "model", "net", "backbone", "weights")  # keys of training checkpoints
_LARGEST = 1 << 30  # bytes; the largest backbone has 0.2 GB, so larger files in the folder are not worth hashing


@dataclass(frozen=True)
class Weights:
    """One set of weights of the network `kind`. `stages`: what the file covers; `path`: None for random weights."""

    name: str
    sha256: str
    stages: tuple[str, ...]
    licence: str
    path: Path | None
    kind: str = "resnet50"


RANDOM = "random"
T = TypeVar("T")


def random_weights(kind: str) -> Weights:
    """The weights of the network initialised at seed 0."""
    own = "" if kind == "resnet50" else f"-{kind}"  # the digest is part of the key of cached features
    return Weights(RANDOM, f"random-seed-0{own}", stages_of(kind), "none (seeded random numbers)", None, kind)


def resolve_weights(kind: str, spec: str, stages: Sequence[str], *, progress: Progress | None = None) -> Weights:
    """The weights of the network `kind` that `spec` names: a known name (torchvision's `IMAGENET1K_V1` is
    `imagenet-v1`), `random`, or the path of a .safetensors or .pth file.

    A name is searched in the folder CIFAKE_RAY_WEIGHTS, then in the cache, then downloaded (`progress`: bytes done,
    bytes in all; 0 when unknown). Raises InputError: unknown name, no such file, not plain tensors, tensors of `stages`
    missing (which are named), download failed.
    """
    if (here := find_weights(kind, spec, stages)) is not None:
        return here
    name, known = _known(kind, spec)
    found = _known_files(kind, known)
    try:
        return _covering(inspect_weights(kind, _download(name, known, progress)), stages)
    except InputError as error:
        if not found:
            raise
        refusal = _refusal(found[0], stages)
        raise InputError(f"{refusal}. {error.what}", error.cure) from error


def find_weights(kind: str, spec: str, stages: Sequence[str]) -> Weights | None:
    """The weights as from `resolve_weights`, without a download: None when a download would be needed."""
    if spec == RANDOM:
        return random_weights(kind)
    if Path(spec).suffix in SUFFIXES:
        return _covering(inspect_weights(kind, _find_path(spec)), stages)
    found = _known_files(kind, _known(kind, spec)[1])
    return next((weights for weights in found if _last_stage(kind, stages) in weights.stages), None)


def _known(kind: str, spec: str) -> tuple[str, PublishedWeights]:
    name = spec.replace("IMAGENET1K_", "imagenet-").lower()
    known = KNOWN[kind].get(name)
    if known is None:
        names = ", ".join([*KNOWN[kind], RANDOM])
        raise InputError(f"weights {spec}: unknown for {kind}", f"expected {names}, or a .safetensors or .pth file")
    return name, known


def _known_files(kind: str, known: PublishedWeights) -> list[Weights]:
    return [inspect_weights(kind, path) for path in _candidates() if known.is_file(file_sha256(path))]


def inspect_weights(kind: str, path: Path) -> Weights:
    """The weights in the file at `path`, with the stages of the network `kind` that the file covers.

    Raises InputError when the file does not hold plain tensors, or holds another network's.
    """
    sha256 = file_sha256(path)
    known = next((name for name, known in KNOWN[kind].items() if known.is_file(sha256)), None)
    shapes = tensor_shapes(path)
    _check_network(kind, shapes, path)
    covered: list[str] = []
    for stage in stages_of(kind):  # a stage is useless without the stages before
        if _absent(kind, shapes, stage):
            break
        covered.append(stage)
    licence = KNOWN[kind][known].licence if known else "unknown"
    return Weights(known or path.name, sha256, tuple(covered), licence, path, kind)


def _check_network(kind: str, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Raise InputError for tensors that the network's stages lack: a ResNet34's first stages fit a ResNet18."""
    known = _all_shapes(kind)
    heads = {name.partition(".")[0] for name in known} - {"fc", "classifier"}
    strange = [name for name in shapes if name.partition(".")[0] in heads and name not in known
               and not name.endswith("num_batches_tracked")]  # fmt: skip
    if strange:
        raise InputError(
            f"{path}: holds {strange[0]}, which {kind} lacks: another network's file", "name its model.kind"
        )


def load_tensors(weights: Weights) -> dict[str, Tensor]:
    """The file's tensors by torchvision's names. Raises InputError when the file changed since it was resolved."""
    assert weights.path is not None, "random weights have no file"
    if file_sha256(weights.path) != weights.sha256:
        raise InputError(f"{weights.path}: changed since it was resolved as {weights.name}", "run the command again")
    return _read(weights.path)


def expected_shapes(kind: str, *names: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of torchvision's network that a frozen one needs for these stages or blocks."""
    blocks = [tap for name, tap in taps_of(kind).items() if tap.stage in names or name in names]
    prefixes = tuple(prefix for tap in blocks for prefix in tap.prefixes)
    return {name: shape for name, shape in _all_shapes(kind).items() if name.startswith(prefixes)}


@lru_cache
def _all_shapes(kind: str) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors but `num_batches_tracked`, which only training reads and old files lack."""
    from torchvision.models import get_model

    with torch.device("meta"):
        tensors: Mapping[str, Tensor] = get_model(kind).state_dict()
    return {name: tuple(t.shape) for name, t in tensors.items() if not name.endswith("num_batches_tracked")}


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


def _candidates() -> Iterator[Path]:
    """Weight files at the top level of CIFAKE_RAY_WEIGHTS, then downloaded ones. A named folder must exist."""
    named = os.environ.get("CIFAKE_RAY_WEIGHTS")
    if named and not Path(named).is_dir():
        raise InputError(f"CIFAKE_RAY_WEIGHTS={named}: no such folder", "correct or unset it")
    for folder in (Path(named) if named else None, downloads()):
        if folder and folder.is_dir():
            files = (path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file())
            yield from (path.absolute() for path in files if path.stat().st_size <= _LARGEST)


def _find_path(spec: str) -> Path:
    """The file itself, or the file of that path or name in CIFAKE_RAY_WEIGHTS: a run may be read elsewhere."""
    folder = Path(os.environ.get("CIFAKE_RAY_WEIGHTS") or ".")
    for path in (Path(spec).expanduser(), folder / spec, folder / Path(spec).name):
        if path.is_file():
            return path.absolute()
    raise InputError(
        f"weights {spec}: no such file", "give its path, or name the folder of such a file as CIFAKE_RAY_WEIGHTS"
    )


def _last_stage(kind: str, names: Sequence[str]) -> str:
    """The stage that the deepest of these stages and blocks belongs to."""
    return taps_of(kind)[deepest(kind, names)].stage


def _absent(kind: str, shapes: Mapping[str, tuple[int, ...]], stage: str) -> list[str]:
    """Tensors of the stage that are missing, or of another network's shape."""
    return [name for name, shape in expected_shapes(kind, stage).items() if shapes.get(name) != shape]


def _covering(weights: Weights, stages: Sequence[str]) -> Weights:
    if _last_stage(weights.kind, stages) not in weights.stages:
        raise _refusal(weights, stages)
    return weights


def _refusal(weights: Weights, stages: Sequence[str]) -> InputError:
    """The error: the file, its missing tensors up to the deepest of `stages`, the covered stages, the cure."""
    assert weights.path is not None, "random weights cover everything"
    shapes = tensor_shapes(weights.path)
    last, known = _last_stage(weights.kind, stages), stages_of(weights.kind)
    needed = known[: known.index(last) + 1]
    missing = [name for stage in needed for name in _absent(weights.kind, shapes, stage)]
    shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    return InputError(
        f"{weights.path} ({weights.name}): {len(missing)} tensors of {weights.kind} up to {last} are missing or of "
        f"another shape ({shown}); it covers {', '.join(weights.stages) or 'no stage'}",
        "use these stages or give a fuller file",
    )


def _download(name: str, known: PublishedWeights, progress: Progress | None) -> Path:
    if not known.address:
        raise InputError(
            f"weights {name}: not found, and no download exists",
            f"put the file into {downloads()} or a folder named by CIFAKE_RAY_WEIGHTS",
        )
    return download_file(known.address, known.is_file, progress)

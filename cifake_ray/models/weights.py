"""Backbone weights: known by their SHA-256, never by their name, and read as plain tensors.

`CIFAKE_RAY_WEIGHTS` is a folder searched before any download; downloads are kept in the cache folder under `weights/`.
"""

import os
import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cifake_ray.download import Progress, file_sha256
from cifake_ray.errors import InputError
from cifake_ray.experiment import STAGES
from cifake_ray.models.download import download_file, downloads

SUFFIXES = (".safetensors", ".pth")
_LARGEST = 1 << 30  # bytes; ResNet50 has 0.1 GB, so larger files in the folder are not worth hashing


@dataclass(frozen=True)
class Weights:
    """One set of backbone weights. `stages`: what the file covers; `path`: None for random weights."""

    name: str
    sha256: str
    stages: tuple[str, ...]
    licence: str
    path: Path | None


@dataclass(frozen=True)
class Known:
    """Weights with a name. torchvision's file names end in the first 8 hex digits of their file's SHA-256.

    `official`: their name in torchvision's list of weights, which knows where to download them.
    """

    licence: str
    digests: tuple[str, ...] = field(default=())
    url: str = ""
    official: str = ""

    @property
    def address(self) -> str:
        """Where they are downloaded from; empty for weights that are published nowhere."""
        if not self.official:
            return self.url
        from torchvision.models import ResNet50_Weights

        return str(ResNet50_Weights[self.official].url)

    @property
    def file(self) -> str:
        return self.address.rpartition("/")[2]

    def is_file(self, sha256: str) -> bool:
        """Whether a file with this digest is one of these weights."""
        if sha256 in self.digests:
            return True
        prefix = self.file.rpartition("-")[2].partition(".")[0]
        return bool(prefix) and sha256.startswith(prefix)


RANDOM = Weights("random", "random-seed-0", STAGES, "none (seeded random numbers)", None)
_TORCHVISION = "BSD-3-Clause (torchvision)"
KNOWN = {
    "imagenet-v1": Known(  # the digest is that of a file with the original tensors up to layer2 only
        _TORCHVISION,
        ("e8cdc9a2d9fd0bec786f4a25a86db057386ed3f49feb45f69dd503874d118e9d",),
        official="IMAGENET1K_V1",
    ),
    "imagenet-v2": Known(_TORCHVISION, official="IMAGENET1K_V2"),
    "imagenet-pq": Known(  # product-quantised, arXiv 2010.15703
        "Uber Non-Commercial License (evaluation only)",
        ("0c12bb8882fe6976fd45f86ac0422ac5cea63810a934b8455573d8d18435f464",),
    ),
}


def resolve_weights(spec: str, stages: Sequence[str], *, progress: Progress | None = None) -> Weights:
    """The weights that `spec` names: a known name, `random`, or the path of a .safetensors or .pth file.

    A name is looked for in the folder CIFAKE_RAY_WEIGHTS, then in the cache, then downloaded (`progress`: bytes done,
    bytes in all; 0 when unknown). Raises InputError: unknown name, no such file, not plain tensors, tensors of `stages`
    missing (which are named), download failed.
    """
    if spec == RANDOM.name:
        return RANDOM
    if Path(spec).suffix in SUFFIXES:
        return _covering(inspect_weights(_find_path(spec)), stages)
    if spec not in KNOWN:
        raise InputError(
            f"weights {spec}: unknown; expected {', '.join([*KNOWN, 'random'])}, or a .safetensors or .pth file"
        )
    found = [inspect_weights(path) for path in _candidates() if KNOWN[spec].is_file(file_sha256(path))]
    enough = [weights for weights in found if deepest_stage(stages) in weights.stages]
    if enough:
        return enough[0]
    try:
        return _covering(inspect_weights(_download(spec, progress)), stages)
    except InputError as error:
        if not found:
            raise
        raise InputError(f"{_refusal(found[0], stages)}. {error}") from error


def inspect_weights(path: Path) -> Weights:
    """What the file at `path` is and which stages it covers. Raises InputError when it does not hold plain tensors."""
    sha256 = file_sha256(path)
    known = next((name for name, known in KNOWN.items() if known.is_file(sha256)), None)
    shapes = tensor_shapes(path)
    covered: list[str] = []
    for stage in STAGES:  # a stage without the ones before it is of no use
        if _absent(shapes, stage):
            break
        covered.append(stage)
    licence = KNOWN[known].licence if known else "unknown"
    return Weights(known or path.name, sha256, tuple(covered), licence, path)


def load_tensors(weights: Weights) -> dict[str, Tensor]:
    """The file's tensors by torchvision's names. Raises InputError when the file is not the one that was resolved."""
    assert weights.path is not None, "random weights have no file"
    if file_sha256(weights.path) != weights.sha256:
        raise InputError(f"{weights.path}: changed since it was resolved as {weights.name}; run the command again")
    return _read(weights.path)


def expected_shapes(stage: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors of torchvision's resnet50 that a frozen network needs for one stage."""
    prefixes = ("conv1.", "bn1.") if stage == "stem" else (f"{stage}.",)
    return {name: shape for name, shape in _resnet50_shapes().items() if name.startswith(prefixes)}


@lru_cache(1)
def _resnet50_shapes() -> dict[str, tuple[int, ...]]:
    """Without `num_batches_tracked`, which only training reads and old files lack."""
    from torchvision.models import resnet50

    with torch.device("meta"):
        tensors: Mapping[str, Tensor] = resnet50().state_dict()
    return {name: tuple(t.shape) for name, t in tensors.items() if not name.endswith("num_batches_tracked")}


def tensor_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the tensors in a file; of a .safetensors file only the header is read."""
    if path.suffix != ".safetensors":
        return {name: tuple(tensor.shape) for name, tensor in _read(path).items()}
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a safetensors file ({error})") from error


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, OSError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError, KeyError) as error:
        raise InputError(f"{path}: refused, not a file of plain tensors ({type(error).__name__})") from error
    if not isinstance(loaded, dict) or not all(isinstance(value, Tensor) for value in loaded.values()):
        raise InputError(f"{path}: expected a state_dict (names and tensors), found {type(loaded).__name__}")
    return dict(loaded)


def _candidates() -> Iterator[Path]:
    """Weight files at the top level of CIFAKE_RAY_WEIGHTS, then downloaded ones. A named folder must exist."""
    named = os.environ.get("CIFAKE_RAY_WEIGHTS")
    if named and not Path(named).is_dir():
        raise InputError(f"CIFAKE_RAY_WEIGHTS={named}: no such folder; correct or unset it")
    for folder in (Path(named) if named else None, downloads()):
        if folder and folder.is_dir():
            files = (path for path in sorted(folder.iterdir()) if path.suffix in SUFFIXES and path.is_file())
            yield from (path.absolute() for path in files if path.stat().st_size <= _LARGEST)


def _find_path(spec: str) -> Path:
    """The file itself, or the one of that name in CIFAKE_RAY_WEIGHTS."""
    places = [Path(spec).expanduser(), Path(os.environ.get("CIFAKE_RAY_WEIGHTS") or ".") / spec]
    for path in places:
        if path.is_file():
            return path.absolute()
    raise InputError(f"weights {spec}: no such file (a relative path is looked for here and in CIFAKE_RAY_WEIGHTS)")


def deepest_stage(stages: Iterable[str]) -> str:
    """The last of these stages in the order of the network."""
    return max(stages, key=STAGES.index)


def _absent(shapes: Mapping[str, tuple[int, ...]], stage: str) -> list[str]:
    """Tensors of the stage that are missing, or of another network's shape."""
    return [name for name, shape in expected_shapes(stage).items() if shapes.get(name) != shape]


def _covering(weights: Weights, stages: Sequence[str]) -> Weights:
    if deepest_stage(stages) not in weights.stages:
        raise InputError(_refusal(weights, stages))
    return weights


def _refusal(weights: Weights, stages: Sequence[str]) -> str:
    """One line: the file, what it misses of the stages up to the deepest of `stages`, what it covers, the cure."""
    assert weights.path is not None, "random weights cover everything"
    shapes = tensor_shapes(weights.path)
    needed = STAGES[: STAGES.index(deepest_stage(stages)) + 1]
    missing = [name for stage in needed for name in _absent(shapes, stage)]
    shown = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
    return (
        f"{weights.path} ({weights.name}): {len(missing)} tensors of ResNet50 up to {needed[-1]} are missing or of "
        f"another shape ({shown}); it covers {', '.join(weights.stages) or 'no stage'}: "
        "ask for these stages or give a fuller file"
    )


def _download(name: str, progress: Progress | None) -> Path:
    known = KNOWN[name]
    if not known.address:
        raise InputError(
            f"weights {name}: not found, and not to be downloaded; put the file into {downloads()} "
            "or a folder named by CIFAKE_RAY_WEIGHTS"
        )
    return download_file(known.address, known.is_file, progress)

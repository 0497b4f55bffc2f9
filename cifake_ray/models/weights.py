"""Weights of torchvision's networks: identified by SHA-256, never by name, and by the stages that a file covers."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.experiment.families.stages import deepest, stages_of, taps_of
from cifake_ray.models.download import download_file, downloads
from cifake_ray.models.published_weights import KNOWN, PublishedWeights
from cifake_ray.models.weight_files import RANDOM, SUFFIXES, Weights, candidates, find_path, tensor_shapes
from cifake_ray.storage.download import file_sha256


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
        return _covering(inspect_weights(kind, find_path(spec)), stages)
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
    return [inspect_weights(kind, path) for path in candidates() if known.is_file(file_sha256(path))]


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

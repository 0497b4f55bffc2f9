"""The torchvision networks that can be backbones: their stages, by torchvision's names, and where they may be pooled.

A network has stages, a stage has blocks one after the other. A stage's name stands for its last block's output; the
outputs of the blocks before it are named by their number: ResNet50's `layer1.0`, `layer1.1`, `layer1`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

BackboneKind = Literal[
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_v2_s",
    "convnext_tiny",
    "mobilenet_v2",
    "mobilenet_v3_small",
    "mobilenet_v3_large",
]


@dataclass(frozen=True)
class Tap:
    """One block's output: its number of `channels`; its tensors in a state_dict begin with one of `prefixes`."""

    stage: str
    channels: int
    prefixes: tuple[str, ...]


_Stage = tuple[int, int]  # channels of the output, blocks


def _resnet(*layers: _Stage) -> dict[str, _Stage]:
    """The stem (convolution, batch norm, ReLU, max pooling), then four layers of residual blocks."""
    return {"stem": (64, 1)} | {f"layer{number}": layer for number, layer in enumerate(layers, start=1)}


def _features(*children: _Stage) -> dict[str, _Stage]:
    """The children of a network's `features`."""
    return {f"features.{number}": child for number, child in enumerate(children)}


_NETWORKS: dict[str, dict[str, _Stage]] = {  # tests/models/test_backbone.py compares it with torchvision
    "resnet18": _resnet((64, 2), (128, 2), (256, 2), (512, 2)),
    "resnet34": _resnet((64, 3), (128, 4), (256, 6), (512, 3)),
    "resnet50": _resnet((256, 3), (512, 4), (1024, 6), (2048, 3)),
    "resnet101": _resnet((256, 3), (512, 4), (1024, 23), (2048, 3)),
    "efficientnet_b0": _features(
        (32, 1), (16, 1), (24, 2), (40, 2), (80, 3), (112, 3), (192, 4), (320, 1), (1280, 1)
    ),
    "efficientnet_b1": _features(
        (32, 1), (16, 2), (24, 3), (40, 3), (80, 4), (112, 4), (192, 5), (320, 2), (1280, 1)
    ),
    "efficientnet_v2_s": _features((24, 1), (24, 2), (48, 4), (64, 4), (128, 6), (160, 9), (256, 15), (1280, 1)),
    "convnext_tiny": _features((96, 1), (96, 3), (192, 1), (192, 3), (384, 1), (384, 9), (768, 1), (768, 3)),
    "mobilenet_v2": _features(
        *((width, 1) for width in (32, 16, 24, 24, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320, 1280))
    ),
    "mobilenet_v3_small": _features(
        *((width, 1) for width in (16, 16, 24, 24, 40, 40, 40, 48, 48, 96, 96, 96, 576))
    ),
    "mobilenet_v3_large": _features(
        *((width, 1) for width in (16, 16, 24, 24, 40, 40, 40, *[80] * 4, 112, 112, *[160] * 3, 960))
    ),
}  # fmt: skip


def stages_of(kind: str) -> tuple[str, ...]:
    """The stages of a network, in its order."""
    return tuple(_NETWORKS[kind])


@lru_cache
def taps_of(kind: str) -> Mapping[str, Tap]:
    """Every place where the network may be pooled, in its order."""
    found: dict[str, Tap] = {}
    for stage, (channels, blocks) in _NETWORKS[kind].items():
        for number in range(blocks):
            name = stage if number == blocks - 1 else f"{stage}.{number}"
            own = (f"{stage}.{number}.",) if blocks > 1 else (f"{stage}.",)
            found[name] = Tap(stage, channels, ("conv1.", "bn1.") if stage == "stem" else own)
    return found


def deepest(kind: str, names: Iterable[str]) -> str:
    """The last of these stages or blocks in the order of the network."""
    return max(names, key=list(taps_of(kind)).index)


def up_to(kind: str, last: str) -> tuple[str, ...]:
    """All stages and blocks up to `last`."""
    names = list(taps_of(kind))
    return tuple(names[: names.index(last) + 1])


def pooled_columns(kind: str, stages: Sequence[str], pool: Sequence[str]) -> tuple[str, ...]:
    """`stage.statistic` for each of `stages`, each statistic of `pool`; the wide `corr` of the deepest stage alone."""
    last = deepest(kind, stages)
    return tuple(f"{stage}.{name}" for stage in stages for name in pool if name != "corr" or stage == last)


def default_stages(kind: str) -> tuple[str, ...]:
    """The shallow stages, where the signal of generated images is: up to an eighth of the image's size."""
    return stages_of(kind)[: 3 if "stem" in _NETWORKS[kind] else 4]

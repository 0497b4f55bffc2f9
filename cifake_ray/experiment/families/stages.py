"""The torchvision networks that can be backbones: their stages, by torchvision's names, and where they may be pooled.

A network has stages, a stage has blocks one after the other. A stage's name stands for its last block's output; the
outputs of the blocks before it are named by their number: ResNet50's `layer1.0`, `layer1.1`, `layer1`.

`stages.json` has channels of the output and blocks of every stage; `python -m cifake_ray.models.stage_table` writes the
file from torchvision, so that an experiment is checked without importing torchvision.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
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

TABLE = Path(__file__).with_name("stages.json")


@dataclass(frozen=True)
class Tap:
    """One block's output: its number of `channels`; its tensors in a state_dict begin with one of `prefixes`."""

    stage: str
    channels: int
    prefixes: tuple[str, ...]


@lru_cache
def _networks() -> dict[str, dict[str, tuple[int, int]]]:
    """For each network its stages, in its order: channels of the output, blocks."""
    found: dict[str, dict[str, tuple[int, int]]] = json.loads(TABLE.read_text())
    return found


def stages_of(kind: str) -> tuple[str, ...]:
    """The stages of a network, in its order."""
    return tuple(_networks()[kind])


@lru_cache
def taps_of(kind: str) -> Mapping[str, Tap]:
    """Every place where the network may be pooled, in its order."""
    found: dict[str, Tap] = {}
    for stage, (channels, blocks) in _networks()[kind].items():
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
    return stages_of(kind)[: 3 if "stem" in _networks()[kind] else 4]

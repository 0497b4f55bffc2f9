"""Write `stages.json`, measured on torchvision's networks: `python -m cifake_ray.models.stage_table`."""

import json
from typing import Any, get_args

import torch
from torch import nn

from cifake_ray.experiment.families.stages import TABLE, BackboneKind


def stage_table() -> str:
    """The text of `stages.json`: for every network its stages with [channels, blocks], one network a line."""
    rows = [f"{json.dumps(kind)}: {json.dumps(_measure(kind))}" for kind in get_args(BackboneKind)]
    return "{\n" + ",\n".join(rows) + "\n}\n"


def _measure(kind: str) -> dict[str, tuple[int, int]]:
    """Channels of the output and blocks of every stage, in the order of the network."""
    from torchvision.models import get_model

    found: dict[str, tuple[int, int]] = {}
    with torch.device("meta"):
        network = get_model(kind).eval()
        maps = torch.zeros(1, 3, 32, 32)
        for name, stage in _stages(network).items():
            maps = stage(maps)
            found[name] = maps.shape[1], _blocks(stage)
    return found


def _stages(network: Any) -> dict[str, nn.Module]:
    """A ResNet's stem (convolution, batch norm, ReLU, max pooling) and layers; the children of others' `features`."""
    if not hasattr(network, "features"):
        stem = nn.Sequential(nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool))
        return {"stem": stem} | {name: child for name, child in network.named_children() if name.startswith("layer")}
    return {f"features.{name}": child for name, child in network.features.named_children()}


def _blocks(stage: nn.Module) -> int:
    """Blocks of one type in a plain sequence are counted; other modules are one block each."""
    alike = type(stage) is nn.Sequential and len({type(child) for child in stage}) == 1
    return len(stage) if alike and isinstance(stage, nn.Sequential) else 1


if __name__ == "__main__":
    TABLE.write_text(stage_table())

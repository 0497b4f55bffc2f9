"""timm's networks by timm's own feature interface: the outputs of stages, cut after the last stage used."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from cifake_ray.errors import InputError, nearest
from cifake_ray.models.backbone import FrozenBackbone, See, asked_statistics
from cifake_ray.models.network import count_parameters
from cifake_ray.models.pooling import pool_map, pooled_width
from cifake_ray.models.timm.library import created, empty_network, random_network, refusing

CLS = "cls"


@dataclass(frozen=True)
class Layout:
    """The stages of a network in order, with the channels of each; whether there is a class token.

    `options`: arguments of `forward_intermediates` that the network takes.
    """

    channels: Mapping[str, int]
    class_token: bool
    options: Mapping[str, bool]

    @property
    def stages(self) -> list[str]:
        return list(self.channels)

    def index(self, stage: str) -> int:
        """The number by which timm knows the stage."""
        return self.stages.index(stage)

    def deepest(self, stages: Sequence[str]) -> str:
        """The last of these stages in the order of the network."""
        return max(stages, key=self.index)

    def width(self, column: str) -> int:
        """Features of one image in a `stage.statistic`."""
        stage, _, statistic = column.rpartition(".")
        channels = self.channels[stage]
        return channels if statistic == CLS else pooled_width(statistic, channels)

    def check(self, name: str, stages: Sequence[str], pool: Sequence[str]) -> None:
        """Raise InputError for stages and statistics that the network does not have."""
        for stage in stages:
            if stage not in self.channels:
                raise InputError(f"model.stages: timm's {name} has no {stage}", nearest(stage, self.stages))
        if CLS in pool and not self.class_token:
            raise InputError(f"model.pool: timm's {name} has no class token", "remove cls")


@lru_cache(64)
def layout(name: str, image_size: int) -> Layout:
    """The layout of the network, measured on a network without values where timm can do without.

    Raises InputError, for the size too.
    """
    try:
        with torch.device("meta"):
            return _measured(name, image_size, created(name, image_size))
    except InputError:  # some networks read values, as gemma4_vit does
        return _measured(name, image_size, random_network(name, image_size))


@torch.inference_mode()
def _measured(name: str, image_size: int, network: nn.Module) -> Layout:
    options = _options(network)
    stages = _stage_names(network, options)
    image = torch.zeros(1, 3, image_size, image_size)
    with refusing(name, image_size):
        found = _Outputs(network, options).of(image, range(len(stages)))
    channels = {stage: maps.shape[1] for stage, (maps, _) in zip(stages, found, strict=True)}
    return Layout(channels, found[0][1] is not None, options)


@lru_cache(64)
def parameters(name: str, image_size: int, last: str) -> int:
    """Parameters of the network up to the stage `last`."""
    return count_parameters(_cut(empty_network(name, image_size), layout(name, image_size), last))


class CutNetwork(nn.Module):
    """A timm network up to the stage `last`, pooled after its stages."""

    def __init__(self, network: nn.Module, found: Layout, last: str) -> None:
        super().__init__()
        self.layout = found
        self.model = _cut(network, found, last)

    def pooled(self, inputs: Tensor, columns: Sequence[str], see: See | None = None) -> dict[str, Tensor]:
        """Normalised images [n, 3, s, s] -> float32 [n, features] of each `stage.statistic`."""
        asked = asked_statistics(columns)
        stages = sorted(asked, key=self.layout.index)
        outputs = _Outputs(self.model, self.layout.options).of(inputs, [self.layout.index(stage) for stage in stages])
        found: dict[str, Tensor] = {}
        for stage, (maps, prefix) in zip(stages, outputs, strict=True):
            pooled = pool_map(see(maps) if see else maps, [name for name in asked[stage] if name != CLS])
            if CLS in asked[stage] and prefix is not None:
                pooled[CLS] = prefix[:, 0].float()
            found |= {f"{stage}.{name}": values for name, values in pooled.items()}
        return found

    def stage_modules(self, stage: str) -> list[nn.Module]:
        """The modules of one stage."""
        if stage == "stem" and self.layout.options.get("extra_blocks"):
            return [child for name, child in self.model.named_children() if name in ("conv_stem", "bn1")]
        return [self.model.get_submodule(stage)]


class TimmBackbone(FrozenBackbone):
    """A frozen timm network. Batch norm is not folded: timm's holds the activation too."""

    def __init__(self, network: CutNetwork, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(mean, std)
        self.network = network
        self.freeze()

    def pooled(self, inputs: Tensor, columns: Sequence[str], see: See | None = None) -> dict[str, Tensor]:
        return self.network.pooled(inputs, columns, see)


@dataclass(frozen=True)
class _Outputs:
    """Calls `forward_intermediates`: for each stage its maps [n, c, h, w], and its prefix tokens [n, t, c] or None."""

    network: Any
    options: Mapping[str, bool]

    def of(self, inputs: Tensor, indices: Sequence[int]) -> list[tuple[Tensor, Tensor | None]]:
        found = self.network.forward_intermediates(
            inputs, indices=list(indices), output_fmt="NCHW", intermediates_only=True, **self.options
        )
        return [(one[0], one[1]) if isinstance(one, tuple) else (one, None) for one in found]


def _options(network: Any) -> dict[str, bool]:
    """Arguments of `forward_intermediates`: every block where timm can, prefix tokens where one is a class token."""
    if not hasattr(network, "forward_intermediates"):
        raise InputError(
            f"model.name: timm's {type(network).__name__} has no forward_intermediates", "name another network"
        )
    known = inspect.signature(network.forward_intermediates).parameters
    wanted = {
        "stop_early": True,
        "extra_blocks": True,
        "return_prefix_tokens": getattr(network, "cls_token", None) is not None,
    }
    return {name: value for name, value in wanted.items() if value and name in known}


def _stage_names(network: Any, options: Mapping[str, bool]) -> list[str]:
    """timm's names of the stages, by index."""
    if options.get("extra_blocks"):
        return ["stem", *(f"blocks.{at}" for at in range(len(network.blocks)))]
    return [info["module"] for info in network.feature_info]


def _cut(network: Any, found: Layout, last: str) -> Any:
    """The network without what comes after the stage, the classifier and the last norm."""
    if hasattr(network, "prune_intermediate_layers"):
        more = {"extra_blocks": True} if found.options.get("extra_blocks") else {}
        network.prune_intermediate_layers([found.index(last)], prune_norm=True, prune_head=True, **more)
    return network

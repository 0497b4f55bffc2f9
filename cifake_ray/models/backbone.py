"""Frozen backbones, pooled after the requested stages: their interface, and torchvision's networks cut into blocks."""

import itertools
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cifake_ray.errors import InputError
from cifake_ray.experiment.families.stages import deepest, stages_of, taps_of, up_to
from cifake_ray.models.pooling import pool_map
from cifake_ray.models.views import apply_view
from cifake_ray.models.weight_files import Weights, load_tensors
from cifake_ray.models.weights import expected_shapes

IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1; the recipe of every torchvision network registered here
IMAGENET_STD = (0.229, 0.224, 0.225)


See = Callable[[Tensor], Tensor]  # sees the maps of a stage before these are pooled, and returns the maps to pool


class FrozenBackbone(nn.Module):
    """A pretrained network without trainable parameters; `train()` has no effect. `mean`, `std`: of RGB in 0..1."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean, self.std = tuple(mean), tuple(std)

    def freeze(self) -> None:
        """Fix the parameters and the mode; called once all modules are set."""
        self.requires_grad_(False).to(memory_format=torch.channels_last)  # 326 against 226 images/s
        super().train(False)

    def train(self, mode: bool = True) -> Self:  # noqa: ARG002
        return self

    def forward(
        self, images: Tensor, image_size: int, columns: Sequence[str], view: str = "identity", see: See | None = None
    ) -> dict[str, Tensor]:
        """uint8 [n, 32, 32, 3] -> float32 [n, features] of each `stage.statistic` of `columns`.

        see: called with the maps [n, c, h, w] of each stage in turn.
        """
        inputs = normalise(apply_view(images, view), image_size, self.mean, self.std)
        return self.pooled(inputs, columns, see)

    @abstractmethod
    def pooled(self, inputs: Tensor, columns: Sequence[str], see: See | None = None) -> dict[str, Tensor]:
        """Normalised images [n, 3, s, s] -> float32 [n, features] of each `stage.statistic`; no later stage runs."""


class Backbone(FrozenBackbone):
    """Frozen blocks of a torchvision network in order.

    Batch normalisation is folded into the convolutions, which equals eval mode for good: 346 against 326
    images/s at 64 px up to ResNet50's layer2 on two AVX2 cores.
    """

    def __init__(self, blocks: Mapping[str, nn.Module]) -> None:
        super().__init__(IMAGENET_MEAN, IMAGENET_STD)
        self.names, self.blocks = tuple(blocks), nn.ModuleList(blocks.values())
        fold_batch_norm(self)
        self.freeze()

    def pooled(self, inputs: Tensor, columns: Sequence[str], see: See | None = None) -> dict[str, Tensor]:
        return pool_blocks(self.names, self.blocks, inputs, columns, see)


def asked_statistics(columns: Sequence[str]) -> dict[str, list[str]]:
    """The statistics of each stage, in the order of the columns."""
    asked: dict[str, list[str]] = {}
    for column in columns:
        stage, _, statistic = column.rpartition(".")
        asked.setdefault(stage, []).append(statistic)
    return asked


def pool_blocks(
    names: Sequence[str], blocks: nn.ModuleList, inputs: Tensor, columns: Sequence[str], see: See | None = None
) -> dict[str, Tensor]:
    """Normalised images [n, 3, s, s] -> float32 [n, features] of each `stage.statistic`; no later block runs."""
    asked = asked_statistics(columns)
    found: dict[str, Tensor] = {}
    for name, block in zip(names, blocks, strict=True):
        inputs = block(inputs)
        if name in asked:
            inputs = see(inputs) if see else inputs
            pooled = pool_map(inputs, asked.pop(name))
            found |= {f"{name}.{statistic}": values for statistic, values in pooled.items()}
        if not asked:
            break
    return found


def normalise_imagenet(images: Tensor, image_size: int) -> Tensor:
    """uint8 [n, 32, 32, 3] -> ImageNet-normalised float32 [n, 3, image_size, image_size], resized bilinearly."""
    return normalise(images, image_size, IMAGENET_MEAN, IMAGENET_STD)


def normalise(images: Tensor, image_size: int, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """uint8 [n, h, h, 3] -> float32 [n, 3, image_size, image_size] less `mean`, divided by `std`, resized bilinearly.

    mean, std: of RGB in 0..1.
    """
    means, stds = (255 * images.new_tensor(values, dtype=torch.float32) for values in (mean, std))
    inputs = ((images.to(torch.float32) - means) / stds).permute(0, 3, 1, 2)  # affine, so it may precede resizing
    if inputs.shape[-1] == image_size:
        return inputs
    return interpolate(inputs, size=(image_size, image_size), mode="bilinear", align_corners=False)


def build_backbone(weights: Weights, last: str) -> Backbone:
    """torchvision's network up to the stage or block `last`, frozen.

    Raises InputError when the file changed since it was resolved or holds NaN or infinity.
    """
    return Backbone(build_blocks(weights, last))


def build_blocks(weights: Weights, last: str) -> dict[str, nn.Module]:
    """The blocks up to `last`, with batch norm, in eval mode.

    Random weights are those of seed 0; global generators are unchanged. Raises InputError when the file changed since
    it was resolved or holds NaN or infinity.
    """
    kept = up_to(weights.kind, last)
    network = _random_network(weights.kind) if weights.path is None else _loaded_network(weights, kept)
    return cut_network(weights.kind, network.eval(), last)


def empty_blocks(kind: str, names: Sequence[str]) -> dict[str, nn.Module]:
    """The blocks up to the deepest of `names`, without values: their tensors are to be loaded."""
    from torchvision.models import get_model

    with torch.device("meta"):
        network = get_model(kind)
    return cut_network(kind, network.to_empty(device="cpu"), deepest(kind, names))


def cut_network(kind: str, network: Any, last: str) -> dict[str, nn.Module]:
    """The blocks of a torchvision network by the names of `taps_of`, up to `last`."""
    kept = up_to(kind, last)
    blocks: list[nn.Module] = []
    for stage in stages_of(kind):
        if stage == "stem":
            blocks.append(nn.Sequential(network.conv1, network.bn1, network.relu, network.maxpool))
            continue
        module = network.get_submodule(stage)
        count = sum(tap.stage == stage for tap in taps_of(kind).values())
        blocks += list(module) if count > 1 else [module]
    return dict(zip(kept, blocks, strict=False))


def _random_network(kind: str) -> Any:
    """torchvision's own initialisation at seed 0; the caller's generators are unchanged."""
    from torchvision.models import get_model

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also seed the GPUs, which fork_rng skips here
        return get_model(kind)


def _loaded_network(weights: Weights, names: Sequence[str]) -> Any:
    """The network with the tensors of these blocks; other tensors take no memory and are cut off later."""
    from torchvision.models import get_model

    tensors = load_tensors(weights)
    needed = {name: tensors[name].to(torch.float32) for name in expected_shapes(weights.kind, *names)}
    damaged = [name for name, tensor in needed.items() if not tensor.isfinite().all()]
    if damaged:
        raise InputError(
            f"{weights.path}: {damaged[0]} holds NaN or infinity ({len(damaged)} such tensors)", "fetch it again"
        )
    counters = {name: torch.tensor(0) for name in _counters(needed)}  # old files lack these
    with torch.device("meta"):
        network = get_model(weights.kind)
    network.load_state_dict(needed | counters, strict=False, assign=True)
    return network


def _counters(names: Mapping[str, Tensor]) -> list[str]:
    ends = ("running_mean", "num_batches_tracked")
    return [name.replace(*ends) for name in names if name.endswith(ends[0])]


def fold_batch_norm(module: nn.Module) -> None:
    """Fold each batch norm into the convolution before it: neighbours in a Sequential, `conv1` and `bn1` of a block."""
    children = dict(module.named_children())
    order = list(children) if isinstance(module, nn.Sequential) else []
    pairs = list(itertools.pairwise(order))
    pairs += [(name, name.replace("conv", "bn")) for name in children if name.startswith("conv")]
    for convolution, norm in pairs:
        first, second = children[convolution], children.get(norm)
        if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
            setattr(module, convolution, fuse_conv_bn_eval(first, second))
            setattr(module, norm, nn.Identity())
    for child in module.children():
        fold_batch_norm(child)

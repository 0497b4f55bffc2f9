"""The frozen backbone: torchvision's resnet50 cut after a stage, each stage on the way pooled by mean and deviation."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate
from torch.nn.utils.fusion import fuse_conv_bn_eval

from cifake_ray.errors import InputError
from cifake_ray.experiment import STAGES
from cifake_ray.models.weights import Weights, expected_shapes, load_tensors

if TYPE_CHECKING:  # importing torchvision takes 3 s, and trials on cached features need none of it
    from torchvision.models import ResNet

STAGE_CHANNELS = {"stem": 64, "layer1": 256, "layer2": 512, "layer3": 1024, "layer4": 2048}
POOLS = ("mean", "std")
IMAGENET_MEAN = (0.485, 0.456, 0.406)  # of RGB in 0..1; torchvision's ResNet50 recipes
IMAGENET_STD = (0.229, 0.224, 0.225)


class Backbone(nn.Module):
    """Frozen stages in order. Nothing in it is trainable, and `train()` leaves it as it is.

    Batch normalisation is folded into the convolutions, which equals its eval mode and cannot leave it; 346 against 326
    images/s at 64 px up to layer2 on two AVX2 cores.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, stages: dict[str, nn.Module]) -> None:
        super().__init__()
        self.stages = nn.ModuleDict(stages)
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD).view(1, 3, 1, 1))
        self.requires_grad_(False).to(memory_format=torch.channels_last)  # 326 against 226 images/s
        super().train(False)

    def train(self, mode: bool = True) -> "Backbone":  # noqa: ARG002
        return self

    def prepare(self, images: Tensor, image_size: int) -> Tensor:
        """uint8 [n, 32, 32, 3] -> ImageNet-normalised float32 [n, 3, image_size, image_size], resized bilinearly."""
        inputs = (
            images.permute(0, 3, 1, 2).to(torch.float32) - self.mean
        ) / self.std  # affine, so it may precede resizing
        if inputs.shape[-1] == image_size:
            return inputs
        return interpolate(inputs, size=(image_size, image_size), mode="bilinear", align_corners=False)

    def maps(self, inputs: Tensor) -> dict[str, Tensor]:
        """Prepared images [n, 3, s, s] -> the output of every stage, [n, channels, height, width]."""
        outputs: dict[str, Tensor] = {}
        for name, stage in self.stages.items():
            inputs = outputs[name] = stage(inputs)
        return outputs

    def forward(self, images: Tensor, image_size: int, stages: Sequence[str] | None = None) -> dict[str, Tensor]:
        """uint8 [n, 32, 32, 3] -> float32 [n, channels] per `stage.mean` and `stage.std` of `stages` (default: all)."""
        maps = self.maps(self.prepare(images, image_size))
        return {name: pooled for stage in stages or maps for name, pooled in pool_map(stage, maps[stage]).items()}


def pool_map(stage: str, activations: Tensor) -> dict[str, Tensor]:
    """[n, c, h, w] -> mean and population standard deviation over the positions, float32 [n, c] each.

    As products with a vector of 1/(h w): on channels_last the fastest of six ways measured on the CPU, 3 % of the whole
    pass where `torch.var_mean` is 22 %. The deviation is that of centred values: E[x²] - E[x]² would lose digits.
    """
    with torch.autocast(activations.device.type, enabled=False):
        values = activations.to(torch.float32).permute(0, 2, 3, 1).flatten(1, 2)
        weights = values.new_full((1, values.shape[1]), 1 / values.shape[1])
        mean = weights @ values
        variance = weights @ (values - mean).square()
        return {f"{stage}.mean": mean.squeeze(1), f"{stage}.std": variance.sqrt().squeeze(1)}


def build_backbone(weights: Weights, last_stage: str) -> Backbone:
    """torchvision's resnet50 up to `last_stage`, frozen. Random weights are those of seed 0; no global seed moves.

    Raises InputError when the file changed since it was resolved or holds NaN or infinity.
    """
    kept = STAGES[: STAGES.index(last_stage) + 1]
    network = _random_network() if weights.path is None else _loaded_network(weights, kept)
    stem = nn.Sequential(_fuse(network.conv1, network.bn1), nn.ReLU(inplace=True), network.maxpool)
    stages: dict[str, nn.Module] = {"stem": stem}
    for stage in kept[1:]:
        stages[stage] = nn.Sequential(*(_fuse_bottleneck(block) for block in getattr(network, stage)))
    return Backbone(stages)


def _random_network() -> "ResNet":
    """torchvision's own initialisation (He et al. 2015, fan out) at seed 0; the caller's generators are left alone."""
    from torchvision.models import resnet50

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also seed the GPUs, which fork_rng skips here
        network: ResNet = resnet50()
    network.eval()
    return network


def _loaded_network(weights: Weights, stages: Sequence[str]) -> "ResNet":
    """Only the tensors of `stages` are loaded; the rest of the network stays without memory and is cut off."""
    from torchvision.models import resnet50

    tensors = load_tensors(weights)
    needed = {name: tensors[name].to(torch.float32) for stage in stages for name in expected_shapes(stage)}
    damaged = [name for name, tensor in needed.items() if not tensor.isfinite().all()]
    if damaged:
        raise InputError(
            f"{weights.path}: {damaged[0]} holds NaN or infinity ({len(damaged)} such tensors); fetch it again"
        )
    with torch.device("meta"):
        network: ResNet = resnet50()
    network.load_state_dict(needed, strict=False, assign=True)
    network.eval()
    return network


def _fuse(convolution: nn.Module, norm: nn.Module) -> nn.Module:
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    return fuse_conv_bn_eval(convolution, norm)


def _fuse_bottleneck(block: nn.Module) -> nn.Module:
    """Fold the three batch norms of a torchvision Bottleneck, and that of its shortcut, into their convolutions."""
    for i in (1, 2, 3):
        setattr(block, f"conv{i}", _fuse(getattr(block, f"conv{i}"), getattr(block, f"bn{i}")))
        setattr(block, f"bn{i}", nn.Identity())
    if isinstance(block.downsample, nn.Sequential):
        block.downsample = _fuse(block.downsample[0], block.downsample[1])
    return block

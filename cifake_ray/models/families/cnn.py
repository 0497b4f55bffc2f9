"""The custom CNNs: `cnn` with exactly two convolutional layers, `cnn-deep` with five."""

from collections.abc import Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cifake_ray.experiment.families.cnn import CnnDeepModel, CnnModel
from cifake_ray.models.families.base import Family, Prepare
from cifake_ray.models.pooling import Pool, pooled_width
from cifake_ray.models.weight_files import Weights

C = TypeVar("C", CnnModel, CnnDeepModel)


class Cnn(nn.Module):
    """Two convolutions, then dense `head_width` and 1: the shape that the CIFAKE paper found best of 36 (Bird and Lotfi
    2024, arXiv 2303.14126), with batch normalisation (Ioffe and Szegedy 2015) added.

    Input: float [n, 3, s, s], normalised, s the image size. Output: logits [n] of label 1 (REAL).
    """

    def __init__(
        self,
        channels: int = 32,
        head_width: int = 64,
        dropout: float = 0.0,
        *,
        widen: int = 1,
        kernel_size: int = 3,
        pool: Sequence[str] = ("flatten",),
        image_size: int = 32,
    ) -> None:
        super().__init__()
        last = widen * channels
        self.features = nn.Sequential(
            *_convolution(3, channels, kernel_size, halve=True), *_convolution(channels, last, halve=True)
        )
        self.head = _dense(last, image_size // 4, pool, head_width, dropout)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits.squeeze(1)


class CnnDeep(nn.Module):
    """Five convolutions in the manner of VGG (Simonyan and Zisserman 2015), batch normalised, then dense layers.

    Pooling right after the first convolution halves the size for all others: 1,000 images/s trained on one core against
    670 for six layers in pairs at as many parameters. Input and output are as of `Cnn`.
    """

    def __init__(
        self,
        channels: int = 32,
        head_width: int = 64,
        dropout: float = 0.0,
        *,
        kernel_size: int = 5,
        pool: Sequence[str] = ("flatten",),
        image_size: int = 32,
    ) -> None:
        super().__init__()
        first, middle, last = channels, 2 * channels, 3 * channels
        self.features = nn.Sequential(
            *_convolution(3, first, kernel_size, halve=True),
            *_convolution(first, middle),
            *_convolution(middle, middle, halve=True),
            *_convolution(middle, last),
            *_convolution(last, last, halve=True),
        )
        self.head = _dense(last, image_size // 8, pool, head_width, dropout)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits.squeeze(1)


def _convolution(inputs: int, outputs: int, kernel_size: int = 3, *, halve: bool = False) -> list[nn.Module]:
    """The layers of a convolution. Pooling precedes batch norm and ReLU, on a quarter of the pixels: 1.4 x images/s."""
    return [
        nn.Conv2d(inputs, outputs, kernel_size, padding="same", bias=False),  # batch norm brings the bias
        *([nn.MaxPool2d(2)] if halve else []),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def _dense(channels: int, edge: int, pool: Sequence[str], head_width: int, dropout: float) -> nn.Sequential:
    """Statistics of a map of `channels` and `edge` x `edge` positions, then dense layers."""
    return nn.Sequential(
        Pool(pool),
        nn.Dropout(dropout),
        nn.Linear(sum(pooled_width(name, channels, edge**2) for name in pool), head_width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(head_width, 1),
    )


def normalise_images(images: Tensor, image_size: int = 32) -> Tensor:
    """uint8 [n, h, h, 3], 0..255 -> float32 [n, 3, s, s] in -1..1, resized bilinearly; channels_last in memory."""
    normalised = images.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
    if normalised.shape[-1] == image_size:
        return normalised
    return interpolate(normalised, size=(image_size, image_size), mode="bilinear", align_corners=False, antialias=True)


class _Custom(Family[C]):
    """Networks trained on images from scratch."""

    def prepare(self, model: C) -> Prepare:
        return partial(normalise_images, image_size=model.image_size)


class CnnFamily(_Custom[CnnModel]):
    """The family `cnn`."""

    def build(self, model: CnnModel, weights: Sequence[Weights] = ()) -> Cnn:  # noqa: ARG002
        return Cnn(**model.model_dump(exclude={"kind", "fit", "views"}))


class CnnDeepFamily(_Custom[CnnDeepModel]):
    """The family `cnn-deep`."""

    def build(self, model: CnnDeepModel, weights: Sequence[Weights] = ()) -> CnnDeep:  # noqa: ARG002
        return CnnDeep(**model.model_dump(exclude={"kind", "fit", "views"}))

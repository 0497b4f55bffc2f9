"""The custom CNNs: `cnn` with exactly two convolutional layers, `cnn-deep` with six."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from cifake_ray.models.pooling import Pool, pooled_width


class Cnn(nn.Module):
    """Two convolutions of `channels` each, then dense `head_width` and 1: the shape that the CIFAKE paper found best of
    36 (Bird and Lotfi 2024, arXiv 2303.14126), with batch normalisation (Ioffe and Szegedy 2015) added.

    Input: float [n, 3, s, s], normalised, s the image size. Output: logits [n] of label 1 (REAL).
    """

    def __init__(
        self,
        channels: int = 32,
        head_width: int = 64,
        dropout: float = 0.0,
        kernel_size: int = 3,
        pool: Sequence[str] = ("flatten",),
        image_size: int = 32,
    ) -> None:
        super().__init__()
        # Pooling before batch norm and ReLU gives both a quarter of the pixels: 1.4 times the images per second.
        self.features = nn.Sequential(
            *_convolution(3, channels, kernel_size, halve=True),
            *_convolution(channels, channels, kernel_size, halve=True),
        )
        inputs = sum(pooled_width(name, channels, (image_size // 4) ** 2) for name in pool)
        self.head = _dense(inputs, pool, head_width, dropout)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits.squeeze(1)


class CnnDeep(nn.Module):
    """Pairs of 3x3 convolutions of `channels`, 2 x and 4 x `channels`, each pair halving the map, then global pooling.

    In the manner of VGG (Simonyan and Zisserman 2015) with batch normalisation. Input and output as those of `Cnn`.
    """

    def __init__(
        self,
        channels: int = 32,
        head_width: int = 64,
        dropout: float = 0.0,
        pool: Sequence[str] = ("mean",),
        image_size: int = 32,
    ) -> None:
        super().__init__()
        layers, inputs = [], 3
        for outputs in (channels, 2 * channels, 4 * channels):
            layers += [*_convolution(inputs, outputs, 3), *_convolution(outputs, outputs, 3, halve=True)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        width = sum(pooled_width(name, inputs, (image_size // 8) ** 2) for name in pool)
        self.head = _dense(width, pool, head_width, dropout)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits.squeeze(1)


def _convolution(inputs: int, outputs: int, kernel_size: int, *, halve: bool = False) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, kernel_size, padding="same", bias=False),  # batch norm brings the bias
        *([nn.MaxPool2d(2)] if halve else []),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    ]


def _dense(inputs: int, pool: Sequence[str], head_width: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        Pool(pool),
        nn.Dropout(dropout),
        nn.Linear(inputs, head_width),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Linear(head_width, 1),
    )


def normalise_images(images: Tensor, image_size: int = 32) -> Tensor:
    """uint8 [n, 32, 32, 3], 0..255 -> float32 [n, 3, s, s] in -1..1, resized bilinearly; channels_last in memory."""
    normalised = images.permute(0, 3, 1, 2).to(torch.float32).div_(127.5).sub_(1.0)
    if normalised.shape[-1] == image_size:
        return normalised
    return interpolate(normalised, size=(image_size, image_size), mode="bilinear", align_corners=False, antialias=True)

"""The dense head on frozen features."""

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, normalize

from cifake_ray.experiment import FeatureNorm

_FURTHEST = 8.0  # standard deviations


class InputDropout(nn.Module):
    """Dropout (Srivastava et al. 2014) of features, in place, at multiples of 1/256: a byte a feature decides.

    `nn.Dropout` draws a float each from a serial generator: on one core 40 of the 76 ms of a step of 256 rows of 11,520
    features, against 6 ms.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.dropped = min(round(256 * p), 255)  # of 256, never all

    def forward(self, features: Tensor) -> Tensor:
        """float32 [n, d], overwritten -> the same, some of it zeroed and the rest scaled up to keep the mean."""
        if not self.training or self.dropped == 0:
            return features
        words = torch.empty((features.numel() + 7) // 8, dtype=torch.int64, device=features.device)
        drawn = words.random_(-(2**63), None).view(torch.uint8)[: features.numel()]  # all 64 bits
        kept = (drawn >= self.dropped).view(features.shape)
        return features.mul_(kept).mul_(256 / (256 - self.dropped))


class NormaliseFeatures(nn.Module):
    """Normalise each statistic of each stage of each pass, picture by picture: a choice that decides how a head holds
    out on generators that it has not seen (arXiv 2603.26387).

    Each one by itself, because means and deviations of shallow and deep stages, and of several networks, differ in
    scale by orders of magnitude: over all features together the largest statistic would set the scale of the others.
    `layer`: mean 0 and deviation 1 over the features (Ba, Kiros and Hinton 2016, without gain and bias, which the
    head's first layer learns). `l2`: length 1. `parts`: norm and width of each statistic, in the order of the features.
    """

    def __init__(self, parts: Sequence[tuple[FeatureNorm, int]]) -> None:
        super().__init__()
        self.parts = tuple(parts) if any(norm != "none" for norm, _ in parts) else ()

    def forward(self, features: Tensor) -> Tensor:
        """float [n, d] -> the same if nothing is to be normalised, else float32 [n, d]."""
        if not self.parts:
            return features
        split = features.to(torch.float32).split([width for _, width in self.parts], dim=1)
        return torch.cat([_normalised(values, norm) for values, (norm, _) in zip(split, self.parts, strict=True)], 1)


def _normalised(values: Tensor, norm: FeatureNorm) -> Tensor:
    if norm == "layer":
        return layer_norm(values, values.shape[1:], eps=1e-12)  # the default, 1e-5, exceeds some variances
    return normalize(values, dim=1) if norm == "l2" else values


class Head(nn.Module):
    """Normalise the features as `parts` say, standardise each feature by the training set's mean and standard
    deviation, then dense `head_width` and 1.

    Standardised values are clamped to +-8: a channel that was silent in the sample would else have values of millions.
    Input: [n, d] of any float type. Output: logits [n] of label 1 (REAL). The statistics are buffers, saved too.
    """

    sample_rows: ClassVar[int] = 4000  # of cached features: with 11,520 of them 180 MB
    mean: Tensor
    std: Tensor

    def __init__(
        self,
        inputs: int,
        head_width: int = 256,
        dropout: float = 0.0,
        *,
        parts: Sequence[tuple[FeatureNorm, int]] = (),
    ) -> None:
        super().__init__()
        self.normalise = NormaliseFeatures(parts)
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.Sequential(
            InputDropout(dropout),
            nn.Linear(inputs, head_width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(head_width, 1),
        )

    def standardise_by(self, features: Tensor) -> None:
        """Set mean and standard deviation from the rows of `features` [n, d] (at most a few thousand are enough)."""
        values = self.normalise(features).to(torch.float32)
        self.mean.copy_(values.mean(0))
        self.std.copy_(values.std(0).clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        # In place: fresh memory for each intermediate result cost as much as the arithmetic.
        standardised = (self.normalise(features) - self.mean).div_(self.std).clamp_(-_FURTHEST, _FURTHEST)
        logits: Tensor = self.layers(standardised)
        return logits.squeeze(1)

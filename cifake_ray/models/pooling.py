"""Statistics of a feature map over its positions: what a head sees instead of the map."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

CORRELATED = 64  # channels, or projections of them


def pool_map(activations: Tensor, statistics: Sequence[str]) -> dict[str, Tensor]:
    """[n, features] of each statistic of a map [n, c, h, w]: float32, `flatten` in the type of the map.

    `mean`, `std` (population standard deviation) and `max` of each channel, `grid2` and `grid4`: averages over 2x2 and
    4x4 parts, `flatten`: every position, `corr`: correlations of channels, see `_correlations`.
    """
    with torch.autocast(activations.device.type, enabled=False):
        found = _moments(activations, [name for name in statistics if name in ("mean", "std")])
        for name in statistics:
            if name == "flatten":
                found[name] = activations.flatten(1)
            elif name == "corr":
                found[name] = _correlations(activations)
            elif name == "max":
                found[name] = activations.amax((2, 3)).float()
            elif name.startswith("grid"):
                found[name] = adaptive_avg_pool2d(activations.float(), int(name[4:])).flatten(1)
        return found


def _moments(activations: Tensor, statistics: Sequence[str]) -> dict[str, Tensor]:
    """Mean and deviation, as products with a vector of 1/(h w).

    On channels_last the fastest of six ways measured on the CPU, 3 % of a whole pass where `torch.var_mean` is 22 %.
    The deviation is that of centred values: E[x²] - E[x]² would lose digits.
    """
    if not statistics:
        return {}
    values = activations.to(torch.float32).permute(0, 2, 3, 1).flatten(1, 2)
    weights = values.new_full((1, values.shape[1]), 1 / values.shape[1])
    mean = weights @ values
    found = {"mean": mean.squeeze(1)}
    if "std" in statistics:  # clamped, or its gradient would be infinite where a channel is constant
        found["std"] = (weights @ (values - mean).square()).squeeze(1).clamp_min(1e-12).sqrt()
    return {name: found[name] for name in statistics}


def _correlations(activations: Tensor) -> Tensor:
    """Correlations over the positions between channels or, if there are more than 64, between 64 projections of them.

    A projection is a sum of all channels, each divided by its deviation, with signs that are drawn once and for all.
    """
    values = activations.to(torch.float32).permute(0, 2, 3, 1).flatten(1, 2)
    values = values - values.mean(1, keepdim=True)
    if values.shape[2] > CORRELATED:
        values = _divided(values) @ _signs(values.shape[2]).to(values.device)
    values = _divided(values)
    correlations = values.transpose(1, 2) @ values / values.shape[1]
    width = values.shape[2]
    row, column = torch.triu_indices(width, width, offset=1, device=values.device)
    return correlations[:, row, column]


def _divided(values: Tensor) -> Tensor:
    """[n, positions, c] centred -> divided by each channel's deviation, 0 where it is next to none."""
    return values / (values.square().mean(1, keepdim=True) + 1e-6).sqrt()


@lru_cache
def _signs(channels: int) -> Tensor:
    """float32 [channels, 64] of +-1/sqrt(channels), always the same: random signs keep distances (Achlioptas 2003)."""
    drawn = torch.randint(0, 2, (channels, CORRELATED), generator=torch.Generator().manual_seed(0))
    signs: Tensor = (2.0 * drawn - 1.0) / channels**0.5
    return signs


def pooled_width(statistic: str, channels: int, positions: int = 0) -> int:
    """Number of features of a statistic over a map with these channels and (for `flatten`) positions."""
    if statistic == "corr":
        width = min(channels, CORRELATED)
        return width * (width - 1) // 2
    if statistic.startswith("grid"):
        positions = int(statistic[4:]) ** 2
    return channels * positions if statistic == "flatten" or statistic.startswith("grid") else channels


class Pool(nn.Module):
    """Several statistics of a map, one after the other: [n, c, h, w] -> [n, features]."""

    def __init__(self, statistics: Sequence[str]) -> None:
        super().__init__()
        self.statistics = tuple(statistics)

    def forward(self, activations: Tensor) -> Tensor:
        pooled = pool_map(activations, self.statistics)
        return torch.cat([pooled[name] for name in self.statistics], 1)

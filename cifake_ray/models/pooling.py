"""Statistics of a feature map over its positions: what a head sees instead of the map."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def pool_map(activations: Tensor, statistics: Sequence[str]) -> dict[str, Tensor]:
    """[n, c, h, w] -> float32 [n, features] of each statistic: mean, population standard deviation (`std`), `max`.

    As products with a vector of 1/(h w): on channels_last the fastest of six ways measured on the CPU, 3 % of the whole
    pass where `torch.var_mean` is 22 %. The deviation is that of centred values: E[x²] - E[x]² would lose digits.
    """
    with torch.autocast(activations.device.type, enabled=False):
        values = activations.to(torch.float32).permute(0, 2, 3, 1).flatten(1, 2)
        weights = values.new_full((1, values.shape[1]), 1 / values.shape[1])
        found: dict[str, Tensor] = {}
        mean = weights @ values
        for name in statistics:
            match name:
                case "mean":
                    found[name] = mean.squeeze(1)
                case "std":  # clamped, or its gradient would be infinite where a channel is constant
                    found[name] = (weights @ (values - mean).square()).squeeze(1).clamp_min(1e-12).sqrt()
                case "max":
                    found[name] = values.amax(1)
        return found


def pooled_width(statistic: str, channels: int, positions: int) -> int:
    """Features that a statistic gives of a map with so many channels and positions."""
    return channels * positions if statistic == "flatten" else channels


class Pool(nn.Module):
    """Several statistics of a map, one after the other: [n, c, h, w] -> [n, features]; float32, `flatten` as it is."""

    def __init__(self, statistics: Sequence[str]) -> None:
        super().__init__()
        self.statistics = tuple(statistics)

    def forward(self, activations: Tensor) -> Tensor:
        others = [name for name in self.statistics if name != "flatten"]
        pooled = pool_map(activations, others) if others else {}
        return torch.cat([pooled[name] if name in pooled else activations.flatten(1) for name in self.statistics], 1)

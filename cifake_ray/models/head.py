"""The dense head on frozen features."""

import torch
from torch import Tensor, nn

_FURTHEST = 8.0  # standard deviations


class Head(nn.Module):
    """Standardise each feature by the training set's mean and standard deviation, then dense `head_width` and 1.

    Standardised values are clamped to +-8: a channel that was silent in the sample would else give millions elsewhere.
    Input: [n, d] of any float type. Output: logits [n] of label 1 (REAL). The statistics are buffers, saved with it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inputs: int, head_width: int = 256, dropout: float = 0.0) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("std", torch.ones(inputs))
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(inputs, head_width),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(head_width, 1),
        )

    def standardise_by(self, features: Tensor) -> None:
        """Take mean and standard deviation over the rows of `features` [n, d] (at most a few thousand are enough)."""
        values = features.to(torch.float32)
        self.mean.copy_(values.mean(0))
        self.std.copy_(values.std(0).clamp_min(1e-6))

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layers(((features - self.mean) / self.std).clamp(-_FURTHEST, _FURTHEST))
        return logits.squeeze(1)

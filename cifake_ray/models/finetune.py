"""A backbone that is trained further, with the head on top: images in, logits out."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from cifake_ray.models.backbone import pool_blocks
from cifake_ray.models.head import Head

_SAMPLE_BATCH = 50  # images at a time, to standardise the head by


class FineTuned(nn.Module):
    """Blocks in order, pooled as `columns` say, and a head. Only blocks named in `trainable` learn.

    Other blocks stay in evaluation mode, so that their batch norm keeps its trained statistics.
    Input: ImageNet-normalised float [n, 3, s, s]. Output: logits [n] of label 1 (REAL).
    """

    sample_rows: ClassVar[int] = 500  # images through the blocks

    def __init__(
        self,
        blocks: Mapping[str, nn.Module],
        columns: Sequence[str],
        head: Head,
        *,
        trainable: Sequence[str],
        lr_factor: float,
    ) -> None:
        super().__init__()
        self.names, self.blocks, self.columns = tuple(blocks), nn.ModuleList(blocks.values()), tuple(columns)
        self.head, self.trainable, self.lr_factor = head, frozenset(trainable), lr_factor
        for name, block in zip(self.names, self.blocks, strict=True):
            block.requires_grad_(name in self.trainable)
        self.train(True)

    def train(self, mode: bool = True) -> "FineTuned":
        super().train(mode)
        for name, block in zip(self.names, self.blocks, strict=True):
            block.train(mode and name in self.trainable)
        return self

    def features(self, images: Tensor) -> Tensor:
        """float32 [n, d]: the pooled columns side by side."""
        pooled = pool_blocks(self.names, self.blocks, images, self.columns)
        return torch.cat([pooled[name] for name in self.columns], 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits

    @torch.no_grad()
    def standardise_by(self, images: Tensor) -> None:
        """Set the head's scale by the features of these normalised images, from the blocks before training."""
        self.eval()
        self.head.standardise_by(torch.cat([self.features(batch) for batch in images.split(_SAMPLE_BATCH)]))
        self.train()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for an optimiser: the head, and the blocks that learn at `factor` times its learning rate."""
        learning = [parameter for parameter in self.blocks.parameters() if parameter.requires_grad]
        return [{"params": list(self.head.parameters())}, {"params": learning, "factor": self.lr_factor}]

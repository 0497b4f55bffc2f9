"""A backbone that is trained further, with the head on top: images in, logits out."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from cifake_ray.models.backbone import pool_blocks
from cifake_ray.models.head import Head

_SAMPLE_BATCH = 50  # images at a time, to standardise the head by


class FineTuned(nn.Module):
    """A network pooled as `columns` say, and a head. Of the network only the modules of `learning` learn.

    Its other modules stay in evaluation mode, so that their batch norm keeps its trained statistics.
    Input: normalised float [n, 3, s, s]. Output: logits [n] of label 1 (REAL).
    """

    sample_rows: ClassVar[int] = 500  # images through the network

    def __init__(self, columns: Sequence[str], head: Head, *, lr_factor: float) -> None:
        super().__init__()
        self.columns, self.head, self.lr_factor = tuple(columns), head, lr_factor

    @property
    @abstractmethod
    def learning(self) -> Sequence[nn.Module]:
        """The modules that learn besides the head."""

    @abstractmethod
    def pooled(self, images: Tensor) -> dict[str, Tensor]:
        """float32 [n, features] of each of `columns`."""

    def freeze(self) -> None:
        """Fix what does not learn; called once all modules are set."""
        self.requires_grad_(False)
        for module in (self.head, *self.learning):
            module.requires_grad_(True)
        self.train(True)

    def train(self, mode: bool = True) -> Self:
        super().train(False)
        self.training = mode
        for module in (self.head, *self.learning):
            module.train(mode)
        return self

    def features(self, images: Tensor) -> Tensor:
        """float32 [n, d]: the pooled columns side by side."""
        pooled = self.pooled(images)
        return torch.cat([pooled[name] for name in self.columns], 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits

    @torch.no_grad()
    def standardise_by(self, images: Tensor) -> None:
        """Set the head's scale by the features of these normalised images, from the network before training."""
        self.eval()
        self.head.standardise_by(torch.cat([self.features(batch) for batch in images.split(_SAMPLE_BATCH)]))
        self.train()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Groups for an optimiser: the head, and what else learns at `factor` times its learning rate."""
        learning = [parameter for module in self.learning for parameter in module.parameters()]
        return [{"params": list(self.head.parameters())}, {"params": learning, "factor": self.lr_factor}]


class FineTunedBlocks(FineTuned):
    """torchvision's blocks in order, of which those named in `trainable` learn."""

    def __init__(
        self,
        blocks: Mapping[str, nn.Module],
        columns: Sequence[str],
        head: Head,
        *,
        trainable: Sequence[str],
        lr_factor: float,
    ) -> None:
        super().__init__(columns, head, lr_factor=lr_factor)
        self.names, self.blocks = tuple(blocks), nn.ModuleList(blocks.values())
        self.trainable = frozenset(trainable)
        self.freeze()

    @property
    def learning(self) -> list[nn.Module]:
        return [block for name, block in zip(self.names, self.blocks, strict=True) if name in self.trainable]

    def pooled(self, images: Tensor) -> dict[str, Tensor]:
        return pool_blocks(self.names, self.blocks, images, self.columns)

"""Rows and batches: the whole set as tensors on the device, an epoch as one permutation, no loader processes.

After KellerJordan/cifar10-airbench's `CifarLoader`: uint8 stays uint8 until a batch is drawn, because a quarter of the
bytes move and nothing is decoded twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from cifake_ray.experiment import Training
from cifake_ray.models.views import apply_view
from cifake_ray.training.augment import BatchRandom, augment


class Inputs(Protocol):
    """What a network sees of every row of a set."""

    @property
    def device(self) -> torch.device: ...

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
        """One input of each row, augmented; `rows` are one worker's share already."""

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        """The rows as they are, under one view after another; predictions over them are averaged."""


@dataclass(frozen=True)
class ImageInputs:
    """uint8 images [n, 32, 32, 3], and the views under which they are judged."""

    images: Tensor
    judged: tuple[str, ...] = ("identity",)

    @property
    def device(self) -> torch.device:
        return self.images.device

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
        return augment(self.images, rows, training, dice)

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        return (apply_view(self.images[rows], view) for view in self.judged)


@dataclass(frozen=True)
class FeatureInputs:
    """Features of every view of the images, of which training draws one a row and step.

    `columns`: for each view float16 tensors [n, d] that stand side by side. They stay apart because they are maps of
    cache entries, which all processes of a node share: joined, each would hold gigabytes of its own. Gathering 128
    rows of 32 columns, 11,520 features, takes 2.6 ms; the step after it 19.
    """

    columns: tuple[tuple[Tensor, ...], ...]

    @property
    def device(self) -> torch.device:
        return self.columns[0][0].device

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:  # noqa: ARG002
        if len(self.columns) == 1:
            return _gather(self.columns[0], rows)
        chosen = dice.integers(0, len(self.columns) - 1)
        drawn = _gather(self.columns[0], rows)
        for number, columns in enumerate(self.columns[1:], start=1):
            of_view = (chosen == number).nonzero().squeeze(1)
            drawn[of_view] = _gather(columns, rows[of_view])
        return drawn

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        return (_gather(columns, rows) for columns in self.columns)


def _gather(columns: Sequence[Tensor], rows: Tensor) -> Tensor:
    return torch.cat([column[rows] for column in columns], 1)


@dataclass(frozen=True)
class TrainingSet:
    """One set on one device, and which of its rows train and validate.

    labels: float32 [n], 1 = REAL; train, validation: int64 rows; prepare: a batch of inputs -> what the network takes.
    """

    inputs: Inputs
    labels: Tensor
    train: Tensor
    validation: Tensor
    prepare: Callable[[Tensor], Tensor]


def epoch_rows(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled batches of `rows`. The last, smaller one is dropped (batch norm, equal steps); at least one is drawn."""
    shuffled = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    whole = max(len(rows) // batch_size, 1) * batch_size
    yield from shuffled[:whole].split(batch_size)

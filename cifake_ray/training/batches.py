"""Rows and batches: the whole set as tensors on the device, an epoch as one permutation, no loader processes.

After KellerJordan/cifar10-airbench's `CifarLoader`: uint8 stays uint8 until a batch is drawn, because a quarter of the
bytes move and nothing is decoded twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cifake_ray.experiment import TILES, Fit, Training
from cifake_ray.models.views import apply_view, squares_within
from cifake_ray.training.augment import BatchRandom, augment, cut_squares

EVALUATION_BATCH = 1000  # images; twice as large gained nothing on two cores, and activations stay below 200 MB
_LARGE = 224  # pixels a side from which the size of the input counts, not the size of the image
_FULL_SIDE = 64  # pixels a side up to which EVALUATION_BATCH images are judged at once
_OF_FREE = 0.5  # share of a GPU's free memory that the images may take: the rest is for the network


def rows_at_once(side: int) -> int:
    """How many images of `side` pixels are judged at once: fewer of large ones, as activations grow with the pixels."""
    return max(1, min(EVALUATION_BATCH, EVALUATION_BATCH * _FULL_SIDE**2 // side**2))


def placed(images: Tensor, device: torch.device, share: float = 1.0) -> Tensor:
    """The images on the device if its free memory holds them; else unchanged, and each batch is sent when needed.

    share: of a GPU, for this trial. On a CPU a memory map stays a memory map.
    """
    if device.type != "cuda":
        return images
    free, total = torch.cuda.mem_get_info(device)
    return images.to(device) if images.nbytes <= _OF_FREE * min(free, min(share, 1.0) * total) else images


class Inputs(Protocol):
    """Inputs of a network for every row of a set."""

    @property
    def device(self) -> torch.device: ...

    @property
    def at_once(self) -> int:
        """How many rows are judged at once."""
        ...

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
        """One input of each row, augmented; `rows` are one worker's share already."""

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        """The rows without augmentation, under one view after another; predictions over views are averaged."""


@dataclass(frozen=True)
class ImageInputs:
    """Images uint8 [n, h, h, 3], or tiles [n, t, s, s, 3], and the looks under which they are judged.

    `fit`, `side`: the square that the network sees of an image held in another size. `valid`: int64 [n, 4],
    `Squares.valid`, where the images hold native pixels around the square. `target`: the device of the batches, where
    the images lie on the CPU because the device has too little memory.
    """

    images: Tensor
    judged: tuple[str, ...] = ("identity",)
    fit: Fit = "resize"
    side: int = 0
    valid: Tensor | None = None
    target: torch.device | None = None

    @property
    def device(self) -> torch.device:
        return self.target or self.images.device

    @property
    def at_once(self) -> int:
        held = self.images.shape[-2]
        seen = held if self.fit == "resize" else min(held, self.side)
        return rows_at_once(self.side if self.side > _LARGE else seen)  # small images enlarged that far fill memory too

    @property
    def _whole(self) -> bool:
        """Whether the network sees each image whole."""
        return self.fit == "resize" or (self.fit != "tiles" and self.images.shape[1] == self.side)

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
        if self._whole and self.device == self.images.device:
            return augment(self.images, rows, training, dice)
        drawn = self._sent(self._drawn(rows, training, replace(dice, device=self.images.device)))
        return augment(drawn, torch.arange(len(drawn), device=self.device), training, dice)

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        spans = self._spans(rows)
        found = self._squares(rows) if spans is None else self._cut(rows, spans[:, 2:])
        squares = self._sent(found)
        return (apply_view(squares, look) for look in self.judged)

    def _drawn(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
        """One square of each row: one of its tiles, a square drawn anew (`window`), or the square that `fit` makes."""
        if self.fit == "tiles":
            chosen = dice.integers(0, TILES - 1)
            if self.images.ndim == 5:
                return self.images[rows, chosen]
            return self._squares(rows)[torch.arange(len(rows), device=self.images.device), chosen]
        if (spans := self._spans(rows)) is None:
            return self._squares(rows)
        if "window" not in training.augment:
            return self._cut(rows, spans[:, 2:])
        spare = spans[:, :2] - self.side
        return self._cut(rows, (dice.uniform(2) * (spare + 1)).long())

    def _squares(self, rows: Tensor) -> Tensor:
        return squares_within(self.images[rows], self.fit, self.side)

    def _cut(self, rows: Tensor, corners: Tensor) -> Tensor:
        return cut_squares(self.images, rows, corners, self.side)

    def _spans(self, rows: Tensor) -> Tensor | None:
        """`Squares.valid` of the rows; None where the images hold no more than the square."""
        held = self.images.shape[1]
        if self.fit not in ("crop", "repeat") or held <= self.side:
            return None
        if self.valid is not None:
            return self.valid[rows]
        middle = (held - self.side) // 2
        return torch.tensor([held, held, middle, middle], device=self.images.device).expand(len(rows), 4)

    def _sent(self, batch: Tensor) -> Tensor:
        """The batch on the network's device: sent through pinned memory, so that nothing waits for the copy."""
        if batch.device == self.device:
            return batch
        return batch.pin_memory().to(self.device, non_blocking=True)


@dataclass(frozen=True)
class FeatureInputs:
    """Features of every view of the images; training draws one view, or one augmented copy, a row and step.

    `copies`: of each augmented copy of the train rows as `columns` of a view, by `places`: int64 [n], where a row of
    the set stands among the train rows.
    `columns`: for each view float16 tensors [n, d] that stand side by side. The tensors are not joined, because they
    map cache entries that all processes of a node share: each process would hold gigabytes of its own. Gathering 128
    rows of 32 columns, 11,520 features, takes 2.6 ms; the step after it 19.
    """

    columns: tuple[tuple[Tensor, ...], ...]
    copies: tuple[tuple[Tensor, ...], ...] = ()
    places: Tensor | None = None

    @property
    def device(self) -> torch.device:
        return self.columns[0][0].device

    @property
    def at_once(self) -> int:
        return EVALUATION_BATCH

    def draw(self, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:  # noqa: ARG002
        first, *others = self.columns
        drawn = _gather(first, rows)
        if not others and not self.copies:
            return drawn
        chosen = dice.integers(0, len(others) + len(self.copies))
        for number, columns in enumerate((*others, *self.copies), start=1):
            of_look = (chosen == number).nonzero().squeeze(1)
            at = rows[of_look] if number <= len(others) or self.places is None else self.places[rows[of_look]]
            drawn[of_look] = _gather(columns, at)
        return drawn

    def views(self, rows: Tensor) -> Iterator[Tensor]:
        return (_gather(columns, rows) for columns in self.columns)


def _gather(columns: Sequence[Tensor], rows: Tensor) -> Tensor:
    return torch.cat([column[rows] for column in columns], 1)


@dataclass(frozen=True)
class TrainingSet:
    """One set on one device, and which of its rows train and validate.

    labels: float32 [n], 1 = REAL; prepare: a batch of inputs -> the network's input. train, validation: int64 rows,
    on the device that holds the images: rows of images on the CPU never wait for a GPU.
    generators: int64 [validation], as `stats.groups.worst_group` takes them; degraded: the validation pictures, in
    their order, degraded in one way after another. Both only where the study chooses by a figure of them.
    """

    inputs: Inputs
    labels: Tensor
    train: Tensor
    validation: Tensor
    prepare: Callable[[Tensor], Tensor]
    generators: np.ndarray | None = None
    degraded: tuple[Inputs, ...] = ()


def epoch_rows(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled batches of `rows`. The last, smaller one is dropped (batch norm, equal steps); at least one is drawn."""
    shuffled = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    whole = max(len(rows) // batch_size, 1) * batch_size
    yield from shuffled[:whole].split(batch_size)

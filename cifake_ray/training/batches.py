"""Rows and batches: the whole set as one tensor on the device, an epoch as one permutation, no loader processes.

After KellerJordan/cifar10-airbench's `CifarLoader`: uint8 stays uint8 until a batch is drawn, because a quarter of the
bytes move and nothing is decoded twice.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

CROP_PADDING = 4  # pixels, reflected: the usual CIFAR augmentation (He et al. 2016, section 4.2)


@dataclass(frozen=True)
class TrainingSet:
    """One set on one device, and which of its rows train and validate.

    inputs: uint8 images [n, 32, 32, 3] or float16 features [n, d]; labels: float32 [n], 1 = REAL;
    train, validation: int64 rows; prepare: a batch of inputs -> what the network takes.
    """

    inputs: Tensor
    labels: Tensor
    train: Tensor
    validation: Tensor
    prepare: Callable[[Tensor], Tensor]


def epoch_rows(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Shuffled batches of `rows`. The last, smaller one is dropped (batch norm, equal steps); at least one is drawn."""
    shuffled = rows[torch.randperm(len(rows), generator=generator).to(rows.device)]
    whole = max(len(rows) // batch_size, 1) * batch_size
    yield from shuffled[:whole].split(batch_size)


def draw(inputs: Tensor, rows: Tensor, augment: Sequence[str], generator: torch.Generator) -> Tensor:
    """The rows of `inputs`; images mirrored (`flip`) with probability 1/2 and shifted (`crop`) by up to 4 pixels.

    One gather does all three, since a mirror image and a reflected border are only other source coordinates.
    """
    if not augment:
        return inputs[rows]
    count, size, device = len(rows), inputs.shape[1], inputs.device
    across = torch.arange(size, device=device).expand(count, size)
    down = across
    if "flip" in augment:
        mirrored = torch.rand(count, 1, generator=generator).to(device) < 0.5
        across = torch.where(mirrored, size - 1 - across, across)
    if "crop" in augment:
        shifts = torch.randint(-CROP_PADDING, CROP_PADDING + 1, (2, count, 1), generator=generator).to(device)
        down, across = _reflect(down + shifts[0], size), _reflect(across + shifts[1], size)
    return inputs[rows[:, None, None], down[:, :, None], across[:, None, :]]


def _reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0..size-1 mirrored at the border pixel, which is not repeated (numpy's `reflect`)."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)

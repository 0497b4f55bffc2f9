"""Augmented copies of train pictures for frozen backbones: drawn once, by seed, number of the copy and row."""

import torch
from torch import Tensor

from cifake_ray.experiment import Training
from cifake_ray.training.augment import BatchRandom, augment

_BLOCK = 64  # rows whose random numbers are drawn together, whatever the batches and shards
_PRIME = 1_000_003


def augmented_copy(images: Tensor, first: int, number: int, recipe: Training) -> Tensor:
    """uint8 [n, s, s, 3], the rows from `first` on of a set -> the same in the copy of this number, from 1.

    recipe: `Training.copy_recipe`. A row's copy follows from seed, number and row alone.
    """
    found, done = list[Tensor](), 0
    while done < len(images):
        block, within = divmod(first + done, _BLOCK)
        count = min(_BLOCK - within, len(images) - done)
        generator = torch.Generator().manual_seed((recipe.seed * _PRIME + number) * _PRIME + block)
        dice = BatchRandom(_BLOCK, generator, images.device, slice(within, within + count))
        rows = torch.arange(done, done + count, device=images.device)
        found.append(augment(images, rows, recipe, dice))
        done += count
    return torch.cat(found)

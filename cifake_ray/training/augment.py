"""Augmentation of a batch of images: tensor operations on its device, from random numbers of the batch's own.

All take and return uint8 [n, h, w, 3]. Milliseconds of one core for 128 images at 32 px: flip and crop 1.8, cutout 1.2,
noise 2.3, screenshot 6.2, resize 6.6, blur 5.3 (any sigma), JPEG 4.8 a round (half of the images, 63 µs each); a step
of `cnn` takes 45, of `cnn-deep` 120. For 32 images at 224 px: noise 40, screenshot 82, resize 66, blur 55, JPEG 31.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor

from cifake_ray.experiment import Training
from cifake_ray.models.views import reflect
from cifake_ray.training.jpeg import recompress
from cifake_ray.training.resample import blurred, through_screen, through_size

_GREY = 128


@dataclass(frozen=True)
class BatchRandom:
    """The random numbers of a batch: drawn for all of its `count` rows, kept for the `share` of one worker.

    Copies to a GPU do not wait for the GPU: a copy from pageable memory is staged before the call returns.
    """

    count: int
    generator: torch.Generator
    device: torch.device
    share: slice = field(default_factory=lambda: slice(None))

    def uniform(self, *shape: int) -> Tensor:
        """float32 [rows, *shape] in 0..1."""
        return torch.rand(self.count, *shape, generator=self.generator)[self.share].to(self.device, non_blocking=True)

    def normal(self, *shape: int) -> Tensor:
        """float32 [rows, *shape], standard normal."""
        return torch.randn(self.count, *shape, generator=self.generator)[self.share].to(self.device, non_blocking=True)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """int64 [rows, *shape] in low..high, both included."""
        drawn = torch.randint(low, high + 1, (self.count, *shape), generator=self.generator)
        return drawn[self.share].to(self.device, non_blocking=True)

    def half(self) -> Tensor:
        """bool [rows]: each true with probability 1/2."""
        return self.uniform() < 0.5


def augment(images: Tensor, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """The `rows` (one worker's share already) of uint8 images [n, h, w, 3] under the augmentations of `training`."""
    batch = _moved(images, rows, training, dice)
    for name, operation in _OPERATIONS.items():
        if name in training.augment:
            batch = operation(batch, training, dice)
    return batch


def cut_squares(images: Tensor, rows: Tensor, corners: Tensor, side: int) -> Tensor:
    """uint8 [len(rows), side, side, 3] of images [n, h, w, 3], from these (top, left) corners, int64 [len(rows), 2].

    On the CPU slices copy whole lines: 32 squares of 224 px take 1.9 ms, a gather 39 ms.
    """
    if images.device.type == "cpu":
        places = zip(rows.tolist(), corners.tolist(), strict=True)
        return torch.stack([images[row, top : top + side, left : left + side] for row, (top, left) in places])
    down, across = (corners[:, axis, None] + torch.arange(side, device=images.device) for axis in (0, 1))
    return images[rows[:, None, None], down[:, :, None], across[:, None, :]]


def _moved(images: Tensor, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Mirrored (`flip`) and shifted (`crop`) rows. Mirroring alone copies whole rows, in half the time of a gather."""
    if "crop" in training.augment:
        return _gathered(images, rows, training, dice)
    batch = images[rows]
    if "flip" in training.augment:
        return torch.where(dice.half()[:, None, None, None], batch.flip(2), batch)
    return batch


def _gathered(images: Tensor, rows: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Mirrored and shifted in one gather: both are only other source coordinates."""
    count, (height, width) = len(rows), images.shape[1:3]
    down = torch.arange(height, device=images.device).expand(count, height)
    across = torch.arange(width, device=images.device).expand(count, width)
    if "flip" in training.augment:
        across = torch.where(dice.half()[:, None], width - 1 - across, across)
    shifts = dice.integers(-training.crop_padding, training.crop_padding, 2)
    down, across = reflect(down + shifts[:, :1], height), reflect(across + shifts[:, 1:], width)
    return images[rows[:, None, None], down[:, :, None], across[:, None, :]]


def _blurred(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Gaussian blur."""
    largest = training.blur_sigma
    present, sigma = dice.half(), dice.uniform() * largest
    return _where(present, partial(blurred, largest=largest), batch, sigma)


def _noisy(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Gaussian noise, independent in every pixel and channel."""
    std = dice.half() * dice.uniform() * training.noise_std
    return _as_bytes(batch.float() + std[:, None, None, None] * dice.normal(*batch.shape[1:]))


def _compressed(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Through JPEG and back, 4:2:0 as the files of CIFAKE are, up to `jpeg_rounds` times at qualities of their own."""
    present, rounds = dice.half(), training.jpeg_rounds
    asked = dice.integers(1, rounds) if rounds > 1 else present.long()
    for done in range(rounds):
        batch = _where(present & (asked > done), recompress, batch, dice.integers(training.jpeg_quality, 100))
    return batch


def _shown(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """On a screen at another size and captured there: enlarging and reducing by a factor are equally likely."""
    largest = training.screenshot_zoom
    present, zoom, phase = dice.half(), largest ** (2 * dice.uniform() - 1), dice.uniform(2) - 0.5
    return _where(present, partial(through_screen, largest=largest), batch, zoom, phase)


def _resized(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """Reduced and enlarged again."""
    present, factor = dice.half(), 1 - dice.uniform() * (1 - training.resize_scale)
    return _where(present, through_size, batch, factor)


def _cut_out(batch: Tensor, training: Training, dice: BatchRandom) -> Tensor:
    """A grey rectangle (DeVries and Taylor 2017, arXiv 1708.04552), each edge drawn separately, inside the image."""
    present = dice.half()
    masks = []
    for size in batch.shape[1:3]:
        edge = dice.integers(1, min(training.cutout_size, size))
        start = (dice.uniform() * (size - edge + 1)).long()
        at = torch.arange(size, device=batch.device)
        masks.append((at >= start[:, None]) & (at < (start + edge)[:, None]) & present[:, None])
    return batch.masked_fill((masks[0][:, :, None] & masks[1][:, None, :])[..., None], _GREY)


def _where(present: Tensor, change: Callable[..., Tensor], batch: Tensor, *strengths: Tensor) -> Tensor:
    """The batch, with `change(images, *strengths)` made of the images that are `present`, bool [n].

    On the CPU of these alone; a GPU changes all, because counting them would wait for the GPU.
    """
    if batch.device.type != "cpu":
        return torch.where(present[:, None, None, None], change(batch, *strengths), batch)
    rows = present.nonzero().squeeze(1)
    if not len(rows):
        return batch
    return batch.index_copy(0, rows, change(batch[rows], *(strength[rows] for strength in strengths)))


def _as_bytes(values: Tensor) -> Tensor:
    return values.round_().clamp_(0, 255).to(torch.uint8)


_OPERATIONS: dict[str, Callable[[Tensor, Training, BatchRandom], Tensor]] = {  # order of application
    "screenshot": _shown,
    "resize": _resized,
    "blur": _blurred,
    "noise": _noisy,
    "jpeg": _compressed,
    "cutout": _cut_out,
}

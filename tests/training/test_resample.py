"""Pictures brought to another size and back: what is kept, what is lost, and that no picture depends on another."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cifake_ray.training.resample import through_screen, through_size

STILL = torch.zeros(1, 2)


def noise(side: int = 32, count: int = 5) -> Tensor:
    drawn = torch.randint(0, 256, (count, side, side, 3), generator=torch.Generator().manual_seed(side))
    return drawn.to(torch.uint8)


def test_the_same_size_changes_nothing() -> None:
    images = noise()
    assert torch.equal(through_size(images, torch.ones(5)), images)
    assert torch.equal(through_screen(images, torch.ones(5), STILL.expand(5, 2), 2.0), images)


@pytest.mark.parametrize("factor", [0.25, 0.5, 0.7])
def test_resizing_is_pillows_bilinear_there_and_back(factor: float) -> None:
    images = noise(64, 2)
    size = round(64 * factor)
    for ours, image in zip(through_size(images, torch.full((2,), factor)), images.numpy(), strict=True):
        small = Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR)
        theirs = np.asarray(small.resize((64, 64), Image.Resampling.BILINEAR))
        apart = np.abs(ours.int().numpy() - theirs)
        assert apart.max() <= 2  # Pillow rounds after each direction
        assert apart.mean() < 0.6


def test_a_flat_picture_stays_flat_and_a_smaller_factor_loses_more() -> None:
    flat = torch.full((3, 32, 32, 3), 77, dtype=torch.uint8)
    factors, zooms = torch.tensor([0.2, 0.5, 0.9]), torch.tensor([0.5, 1.3, 2.0])
    assert torch.equal(through_size(flat, factors), flat)
    assert torch.equal(through_screen(flat, zooms, torch.rand(3, 2) - 0.5, 2.0), flat)
    images = noise()[:1].expand(3, -1, -1, -1)
    lost = (through_size(images, factors).float() - images).square().mean((1, 2, 3))
    assert (lost.diff() < 0).all()


def test_a_screen_folds_detail_that_resizing_averages_away() -> None:
    stripes = torch.zeros(1, 32, 32, 3, dtype=torch.uint8)
    stripes[:, :, ::2] = 255
    half = torch.tensor([0.5])
    assert through_size(stripes, half)[:, :, 6:-6].float().std() < 1
    beside = torch.tensor([[0.0, 0.5]])  # the screen's pixels lie on every other stripe
    assert through_screen(stripes, half, beside, 2.0).float().mean() in (0.0, 255.0)


def test_no_picture_depends_on_the_others_nor_on_their_number() -> None:
    images, generator = noise(48, 9), torch.Generator().manual_seed(1)
    zoom, phase = torch.rand(9, generator=generator) + 0.6, torch.rand(9, 2, generator=generator) - 0.5
    for share in (slice(0, None, 2), slice(1, None, 2), slice(4, 5)):
        some = through_screen(images[share], zoom[share], phase[share], 1.6)
        assert torch.equal(some, through_screen(images, zoom, phase, 1.6)[share])
        some = through_size(images[share], zoom[share].clamp_max(1))
        assert torch.equal(some, through_size(images, zoom.clamp_max(1))[share])

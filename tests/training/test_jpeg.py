"""JPEG in torch: libjpeg's arithmetic, for every image at its own quality."""

import io
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cifake_ray.training.jpeg import recompress, through_dct


def pictures(height: int, width: int, count: int = 6) -> Tensor:
    """Colour gradients under texture, uint8 [count, height, width, 3]."""
    generator = torch.Generator().manual_seed(height * width)
    down, across = torch.arange(height)[:, None, None], torch.arange(width)[None, :, None]
    phase = torch.rand(count, 1, 1, 3, generator=generator) * 6
    waves = 128 + 50 * torch.sin(down / 7 + phase) + 40 * torch.cos(across / 4 - phase)
    return (waves + 10 * torch.randn(waves.shape, generator=generator)).clamp(0, 255).to(torch.uint8)


def by_libjpeg(images: Tensor, qualities: Sequence[int]) -> Tensor:
    found = []
    for image, quality in zip(images.numpy(), qualities, strict=True):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling=2)
        found.append(np.asarray(Image.open(file)))
    return torch.from_numpy(np.stack(found))


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 48), (37, 53)])
def test_jpeg_in_torch_is_libjpegs_but_for_rounding(height: int, width: int) -> None:
    images, qualities = pictures(height, width), [10, 30, 49, 50, 75, 95]
    ours = through_dct(images, torch.tensor(qualities)).int()
    theirs = by_libjpeg(images, qualities).int()
    apart = (ours - theirs).abs().float()  # one coefficient in 250 lies so near a half that libjpeg rounds otherwise
    assert apart.mean() < 0.4
    assert (apart > 2).float().mean() < 0.03
    assert (theirs - images.int()).abs().float().mean() > 10 * apart.mean()


def test_each_image_has_its_own_quality_and_depends_on_no_other() -> None:
    images, qualities = pictures(32, 32), torch.tensor([5, 20, 40, 60, 80, 100])
    for compress in (through_dct, recompress):
        whole = compress(images, qualities)
        alone = [compress(images[at : at + 1], qualities[at : at + 1]) for at in range(6)]
        assert torch.equal(whole, torch.cat(alone))
        losses = (whole.float() - images).square().mean((1, 2, 3))
        assert (losses.diff() < 0).all()


def test_on_the_cpu_libjpeg_itself_compresses() -> None:
    images, qualities = pictures(48, 32), [30, 45, 60, 75, 90, 100]
    ours, theirs = recompress(images, torch.tensor(qualities)).int(), by_libjpeg(images, qualities).int()
    assert (ours - theirs).abs().max() <= 2  # two decoders

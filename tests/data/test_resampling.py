"""Whole pictures are resized to the same pixels by every way that computes them."""

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import resampling
from cifake_ray.data.resampling import resize, resize_by_numpy

SIZES = [(256, 256, 224), (512, 512, 224), (300, 401, 224), (100, 90, 224), (777, 513, 128), (33, 2000, 64),
         (1, 5, 32), (225, 224, 224), (7000, 40, 32)]  # fmt: skip


@pytest.mark.parametrize(("height", "width", "side"), SIZES)
def test_the_package_and_numpy_give_the_same_pixels(height: int, width: int, side: int) -> None:
    package = pytest.importorskip("cykooz_resizer")
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    resized = resize(pixels, side)
    assert (resized.shape, resized.dtype) == ((side, side, 3), np.uint8)
    assert np.array_equal(resized, resize_by_numpy(pixels, side))
    for slower in (package.CpuExtensions.none, package.CpuExtensions.sse4_1):
        resampling._own.resizer.cpu_extensions = slower
        assert np.array_equal(resized, resize(pixels, side))
    del resampling._own.resizer


@pytest.mark.parametrize(("height", "width", "side"), SIZES)
def test_pixels_are_those_of_pillow_but_for_rounding(height: int, width: int, side: int) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    expected = np.asarray(Image.fromarray(pixels).resize((side, side), Image.Resampling.BILINEAR))
    assert np.abs(resize(pixels, side).astype(int) - expected).max() <= 1


def test_without_the_package_numpy_does_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    expected = resize(pixels, 32)
    monkeypatch.setattr(resampling, "_library", lambda: None)
    assert np.array_equal(resize(pixels, 32), expected)


def test_colours_keep_their_order_and_views_their_place() -> None:
    pixels = np.zeros((60, 80, 3), np.uint8)
    pixels[..., 0], pixels[:, 40:, 2] = 200, 100
    resized = resize(pixels, 20)
    assert resized[0, 0].tolist() == [200, 0, 0]
    assert resized[-1, -1].tolist() == [200, 0, 100]
    assert np.array_equal(resize(pixels[:, ::-1], 20), resized[:, ::-1])

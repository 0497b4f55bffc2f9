"""Degraded test images: what each degradation does, and that it is the same every time."""

from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data.corruptions import Corruption, blur, corruptions, jpeg, light_corruptions, noise, rescale

CORRUPTIONS = corruptions(32)


def smooth_images(count: int) -> np.ndarray:
    """uint8 [count, 32, 32, 3]: coloured waves with a little noise."""
    rng = np.random.default_rng(3)
    grid = np.arange(32) / 5
    waves = 128 + 60 * np.sin(grid[:, None, None] + grid[None, :, None] + rng.random((count, 1, 1, 3)) * 6)
    return np.clip(waves + rng.normal(0, 6, waves.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)
def test_degraded_images_keep_their_shape_and_are_the_same_every_time(corruption: Corruption) -> None:
    images = smooth_images(5)
    before = images.copy()
    degraded = corruption(images)
    assert (degraded.shape, degraded.dtype) == (images.shape, np.uint8)
    assert np.array_equal(images, before)
    assert np.array_equal(degraded, corruption(images))
    assert not np.array_equal(degraded, images)


def test_the_panel_holds_the_degradations_that_it_promises() -> None:
    found = {kind: [c.strength for c in CORRUPTIONS if c.kind == kind] for kind in ("JPEG", "blur", "rescaling")}
    assert found == {"JPEG": [90, 75, 60, 40], "blur": [0.4, 0.6, 1.0], "rescaling": [24, 16]}
    assert len({corruption.name for corruption in CORRUPTIONS}) == len(CORRUPTIONS)
    larger = [corruption.name for corruption in corruptions(224) if corruption.kind in ("blur", "rescaling")]
    assert larger == [
        *("blur, sigma 2.8 px", "blur, sigma 4.2 px", "blur, sigma 7 px"),
        *("down to 168 px and up", "down to 112 px and up"),
    ]


def test_stronger_degradations_are_further_from_the_image() -> None:
    images = smooth_images(20)
    for kind in ("JPEG", "blur", "noise", "rescaling"):
        of_kind = [corruption(images).astype(int) for corruption in CORRUPTIONS if corruption.kind == kind]
        distances = [float(np.abs(degraded - images).mean()) for degraded in of_kind]
        assert distances == sorted(distances)


def test_batches_at_other_places_get_other_noise_and_the_same_blur() -> None:
    images = smooth_images(4)
    for corruption in (c for c in CORRUPTIONS if c.kind in ("noise", "blur")):
        assert np.array_equal(corruption(images, 0), corruption(images, 1000)) == (corruption.kind == "blur")


def test_tiles_are_degraded_as_images_are_and_scaling_follows_their_size() -> None:
    tiles = np.stack([smooth_images(5), smooth_images(5)[::-1]])
    for corruption in CORRUPTIONS:
        assert np.array_equal(corruption(tiles), corruption(tiles.reshape(10, 32, 32, 3)).reshape(tiles.shape))
    scaled = [corruption.name for corruption in corruptions(128) if corruption.kind == "rescaling"]
    assert scaled == ["down to 96 px and up", "down to 64 px and up"]


def test_the_light_set_is_one_of_each_kind_of_delivery() -> None:
    found = [(one.kind, one.strength) for one in light_corruptions(224)]
    assert found == [("JPEG", 75), ("blur", 0.6), ("rescaling", 168)]
    reference = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    assert "JPEG at quality 75, a blur of 0.6 px, down to three quarters of the side and up again" in reference


def test_noise_has_the_deviation_asked_for_and_differs_between_images() -> None:
    grey = np.full((50, 32, 32, 3), 128, np.uint8)
    noisy = noise(grey, 0.05, 0).astype(float)
    assert noisy.std() == pytest.approx(0.05 * 255, rel=0.02)
    assert not np.array_equal(noisy[0], noisy[1])


def test_flat_images_pass_blur_jpeg_and_scaling_unharmed() -> None:
    grey = np.full((2, 32, 32, 3), 128, np.uint8)
    for degraded in (blur(grey, 1.0), jpeg(grey, 90), rescale(grey, 16)):
        assert np.array_equal(degraded, grey)


def test_blur_spreads_a_point_as_the_gaussian_does() -> None:
    image = np.zeros((1, 33, 33, 3), np.uint8)
    image[0, 16, 16] = 255
    weights = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    expected = 255 * (weights / weights.sum())[4] ** 2
    assert blur(image, 1.0)[0, 16, 16, 0] == round(expected)

"""Augmentation: what each kind does to an image, how strongly, and how often."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cifake_ray.experiment import Training
from cifake_ray.training.augment import BatchRandom, augment

CPU = torch.device("cpu")
COUNT = 200


@pytest.fixture(scope="module")
def picture() -> Tensor:
    """One smooth image with some texture, uint8 [1, 32, 32, 3]."""
    at = torch.arange(32)
    values = 128 + 60 * torch.sin(at / 5)[:, None, None] + 40 * torch.cos(at / 3)[None, :, None] + torch.zeros(3)
    noise = torch.randn(32, 32, 3, generator=torch.Generator().manual_seed(1)) * 4
    return (values + noise).clamp(0, 255).to(torch.uint8)[None]


def drawn(images: Tensor, *names: str, seed: int = 0, **strengths: float) -> Tensor:
    """The first image under these augmentations, as many times as it takes."""
    training = Training.model_validate({"augment": names, **strengths})
    rows = torch.zeros(COUNT, dtype=torch.long)
    return augment(images, rows, training, BatchRandom(COUNT, torch.Generator().manual_seed(seed), CPU))


def changed(batch: Tensor, image: Tensor) -> Tensor:
    """bool [n]: which images are not as they were."""
    return (batch != image).flatten(1).any(1)


def test_without_augmentation_rows_come_as_they_are(picture: Tensor) -> None:
    assert not changed(drawn(picture), picture).any()


@pytest.mark.parametrize("name", ["flip", "crop", "screenshot", "resize", "blur", "noise", "jpeg", "cutout"])
def test_the_same_seed_augments_alike_and_bytes_stay_bytes(picture: Tensor, name: str) -> None:
    first = drawn(picture, name)
    assert first.dtype == torch.uint8
    assert first.shape == (COUNT, 32, 32, 3)
    assert torch.equal(first, drawn(picture, name))
    assert not torch.equal(first, drawn(picture, name, seed=1))


@pytest.mark.parametrize("name", ["flip", "screenshot", "resize", "noise", "jpeg", "cutout"])
def test_half_of_the_images_stay_as_they_are(picture: Tensor, name: str) -> None:
    assert 0.3 < changed(drawn(picture, name), picture).float().mean() < 0.7


def test_flip_yields_the_image_or_its_mirror(picture: Tensor) -> None:
    batch = drawn(picture, "flip")
    assert not changed(batch[changed(batch, picture)], picture.flip(2)).any()


def test_crop_is_a_window_of_the_reflected_image(picture: Tensor) -> None:
    padded = np.pad(picture[0].numpy(), ((2, 2), (2, 2), (0, 0)), mode="reflect")
    windows = {padded[y : y + 32, x : x + 32].tobytes() for y in range(5) for x in range(5)}
    seen = {image.numpy().tobytes() for image in drawn(picture, "crop", crop_padding=2)}
    assert seen == windows  # all 25 come in 200 draws of this seed


def test_blur_takes_texture_away_and_keeps_the_mean(picture: Tensor) -> None:
    batch = drawn(picture, "blur", blur_sigma=1.5)
    roughness = batch.float().diff(dim=2).abs().mean((1, 2, 3))
    assert roughness.max() <= picture.float().diff(dim=2).abs().mean() + 0.01
    assert roughness.min() < 0.8 * roughness.max()
    assert (batch.float().mean((1, 2, 3)) - picture.float().mean()).abs().max() < 2


def test_noise_is_as_strong_as_drawn_and_no_stronger_than_asked(picture: Tensor) -> None:
    std = (drawn(picture, "noise", noise_std=20).float() - picture).std((1, 2, 3))
    assert 15 < std.max() < 21
    assert ((std > 2) & (std < 10)).any()


def test_jpeg_is_what_an_encoder_makes_of_the_image(picture: Tensor) -> None:
    batch = drawn(picture, "jpeg", jpeg_quality=40)
    round_trips = []
    for quality in range(40, 101):
        file = io.BytesIO()
        Image.fromarray(picture[0].numpy()).save(file, "JPEG", quality=quality)
        round_trips.append(torch.from_numpy(np.array(Image.open(file))).float())
    nearest = [min((image.float() - other).abs().max() for other in round_trips) for image in batch]
    compressed = changed(batch, picture).tolist()
    assert all(near <= 2 for near, is_jpeg in zip(nearest, compressed, strict=True) if is_jpeg)  # two decoders


def test_cutout_greys_one_rectangle_no_larger_than_asked(picture: Tensor) -> None:
    batch = drawn(picture, "cutout", cutout_size=6)
    grey = (batch != picture).any(3) & (batch == 128).all(3)
    rows, columns = grey.any(2).sum(1), grey.any(1).sum(1)
    assert rows.max() == columns.max() == 6
    assert torch.equal((batch != picture).any(3) & ~grey, torch.zeros_like(grey))


def test_jpeg_comes_once_or_up_to_three_times_in_a_row(picture: Tensor) -> None:
    once = drawn(picture, "jpeg", jpeg_quality=30)
    assert torch.equal(once, drawn(picture, "jpeg", jpeg_quality=30, jpeg_rounds=1))
    thrice = drawn(picture, "jpeg", jpeg_quality=30, jpeg_rounds=3)
    assert torch.equal(changed(once, picture), changed(thrice, picture))  # the same half
    lost = [(batch.float() - picture).square().mean((1, 2, 3)) for batch in (once, thrice)]
    assert lost[1].mean() > 1.1 * lost[0].mean()


def test_delivery_is_no_stronger_than_asked(picture: Tensor) -> None:
    def loss(name: str, **strengths: float) -> float:
        return float((drawn(picture, name, **strengths).float() - picture).square().mean((1, 2, 3)).max())

    assert loss("resize", resize_scale=0.9) < loss("resize", resize_scale=0.5) < loss("resize", resize_scale=0.2)
    assert loss("screenshot", screenshot_zoom=1.1) < loss("screenshot", screenshot_zoom=2.0)


DELIVERY = {"augment": "screenshot+resize+blur+jpeg", "jpeg_rounds": 3, "jpeg_quality": 30, "resize_scale": 0.3}


@pytest.mark.parametrize("side", [32, 50])
def test_two_workers_deliver_each_image_as_one_worker_does(side: int) -> None:
    images = torch.randint(0, 256, (12, side, side, 3), generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    training, rows = Training.model_validate(DELIVERY), torch.arange(12)

    def batch(share: slice) -> Tensor:
        return augment(images, rows[share], training, BatchRandom(12, torch.Generator().manual_seed(5), CPU, share))

    whole = batch(slice(None))
    for worker in range(2):
        assert torch.equal(batch(slice(worker, None, 2)), whole[worker::2])
    assert (whole != images).flatten(1).any(1).sum() >= 8

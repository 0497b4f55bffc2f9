"""Delivery tiers: one rule for every picture, before the model's own transform."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import Part, load_images
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.table import make_table
from cifake_ray.data.transform import Transform, to_squares
from cifake_ray.evaluation.delivery import TIERS, Tier
from cifake_ray.runs.columns import LABELS

from ..native import write_native


def saved(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling=2)
    return Image.open(file)


def squares_of(tier: Tier, part: Part, transform: Transform) -> np.ndarray:
    found = np.empty((len(part), *transform.shape), np.uint8)
    for rows, squares in tier.squares(part, transform):
        found[rows] = squares
    return found


def test_the_tiers_are_web_and_hard() -> None:
    assert [(tier.name, tier.size, tier.quality) for tier in TIERS] == [("web", 768, 60), ("hard", 512, 40)]
    assert TIERS[0].words == "web: up to 768 px, JPEG 60"


@pytest.mark.parametrize("tier", TIERS, ids=lambda tier: tier.name)
def test_pictures_of_32_px_are_saved_as_jpeg_and_not_enlarged(tier: Tier) -> None:
    images = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    table = make_table("test", np.array([0, 1] * 3, np.uint8), np.array([f"{at}" for at in range(6)]), facts_of(images))
    found = squares_of(tier, Part(table, ArrayPixels(images), "x"), Transform("resize", 32))
    for image, square in zip(images, found, strict=True):
        assert np.array_equal(square, np.asarray(saved(Image.fromarray(image), tier.quality)))


def test_larger_pictures_are_reduced_to_the_tier_and_smaller_ones_keep_their_size(tmp_path: Path) -> None:
    part = load_images(write_native(tmp_path / "native")).test
    tier, transform = Tier("small", 56, 50), Transform("crop", 32)
    found = squares_of(tier, part, transform)
    longest = part.table.sizes.max(axis=1)
    assert longest.min() <= tier.size < longest.max()
    for row, square in enumerate(found):
        label, name = LABELS[part.labels[row]], Path(str(part.table.names[row])).name
        picture = Image.open(tmp_path / "native" / "test" / label / name).convert("RGB")
        assert picture.size == tuple(part.table.sizes[row])
        if (scale := tier.size / max(picture.size)) < 1:
            size = tuple(round(length * scale) for length in picture.size)
            picture = picture.resize((size[0], size[1]), Image.Resampling.LANCZOS)
        expected = to_squares(saved(picture, tier.quality), transform).pixels
        assert np.abs(square.astype(int) - expected).mean() < 2  # two decoders of JPEG

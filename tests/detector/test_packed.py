"""A detector on a frozen backbone judges pictures of any size alike from their squares and from cached features."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cifake_ray.data import Part
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.table import make_table
from cifake_ray.data.transform import Transform, model_transform
from cifake_ray.detector.module import Detector
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.registry import family_of

COUNT = 60  # one shard: the last digit depends on which pictures go through the network together
MODELS: dict[str, dict[str, Any]] = {
    "crop": {"fit": "crop", "image_size": 48},
    "resize": {"fit": "resize", "image_size": 32, "views": ["identity", "flip"]},
    "repeat, two sizes": {"fit": "repeat", "image_size": [64, 32]},
    "tiles": {"fit": "tiles", "image_size": 32, "views": ["identity", "flip"]},
}


@pytest.fixture
def part(tmp_path: Path) -> Part:
    """JPEGs of 40 to 109 pixels a side, packed."""
    rng, encoded = np.random.default_rng(0), []
    for number in range(COUNT):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        data = io.BytesIO()
        small.resize((40 + number, 90), Image.Resampling.BICUBIC).save(data, "JPEG", quality=90)
        encoded.append(data.getvalue())
    (tmp_path / "encoded").write_bytes(b"".join(encoded))
    lengths = np.array([len(data) for data in encoded])
    pixels = EncodedPixels(tmp_path / "encoded", np.stack([lengths.cumsum() - lengths, lengths], axis=1))
    facts = facts_of(np.zeros((COUNT, 4, 4, 3), np.uint8))
    table = make_table("test", np.zeros(COUNT, np.uint8), np.array([f"{row}" for row in range(COUNT)]), facts)
    return Part(table, pixels, "packed pictures")


def detector_of(**settings: Any) -> Detector:
    tree = {"kind": "resnet18", "weights": "random", "stages": ["stem"], "head_width": 8} | settings
    model = BackboneModel.model_validate(tree)
    torch.manual_seed(0)
    family = family_of(model)
    return Detector(model, family.build(model), family.weights(model), model_transform(model, None))


@pytest.mark.parametrize("kind", MODELS)
def test_squares_and_cached_features_give_the_same_predictions(part: Part, kind: str) -> None:
    detector = detector_of(**MODELS[kind])
    seen: list[tuple[int, int]] = []
    cached = detector.p_fake_of_part(part, lambda *at: seen.append(at))
    transform = model_transform(detector.model, part.side)
    squares = part.under(transform).images
    assert squares.shape == (COUNT, *transform.shape)
    np.testing.assert_array_equal(detector.p_fake(squares), cached)
    np.testing.assert_array_equal(detector.p_fake_of_part(part), cached)
    logits = detector(torch.from_numpy(squares))
    np.testing.assert_allclose(torch.sigmoid(logits).numpy(), cached, rtol=1e-4)
    assert len(np.unique(cached)) > COUNT / 2
    passes = len(detector.model.looks) * len(detector.model.sizes)
    assert seen[-1] == (COUNT * passes, COUNT * passes)


def test_tiles_are_averaged(part: Part) -> None:
    detector = detector_of(fit="tiles", image_size=32)
    tiles = part.under(Transform("tiles", 32)).images
    alone = detector_of(fit="crop", image_size=32)
    each = [torch.logit(torch.from_numpy(alone.p_fake(tiles[:, number].copy())).double()) for number in range(5)]
    mean = torch.stack(each).mean(0)
    np.testing.assert_allclose(detector.p_fake(tiles), torch.sigmoid(mean).numpy(), rtol=1e-4)

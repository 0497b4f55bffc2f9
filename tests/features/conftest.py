"""Small images, and backbone weights up to layer1 in a file."""

import io
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision.models import resnet50

from cifake_ray.data.pixels import ArrayPixels, EncodedPixels, Pixels
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weight_files import Weights
from cifake_ray.models.weights import expected_shapes, inspect_weights


@dataclass(frozen=True)
class Part:
    pixels: Pixels
    fingerprint: str

    @property
    def images(self) -> np.ndarray:
        return self.pixels.batch(slice(None))


@pytest.fixture(scope="session")
def part() -> Part:
    """200 images: four shards."""
    images = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    return Part(ArrayPixels(images), "fingerprint of these images")


@pytest.fixture(scope="session")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Part:
    """70 JPEGs of 40 to 109 pixels a side, one after another in a file: two shards of a pass at 32 px."""
    file = tmp_path_factory.mktemp("packed") / "encoded"
    rng = np.random.default_rng(0)
    encoded = []
    for number in range(70):
        small = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        picture, data = small.resize((40 + number, 90), Image.Resampling.BICUBIC), io.BytesIO()
        picture.save(data, "JPEG", quality=90)
        encoded.append(data.getvalue())
    file.write_bytes(b"".join(encoded))
    lengths = np.array([len(data) for data in encoded])
    places = np.stack([lengths.cumsum() - lengths, lengths], axis=1)
    return Part(EncodedPixels(file, places), "fingerprint of these pictures")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Weights:
    torch.manual_seed(0)
    state = resnet50().state_dict()
    path = tmp_path_factory.mktemp("weights") / "part.safetensors"
    save_file({name: state[name] for stage in ("stem", "layer1") for name in expected_shapes("resnet50", stage)}, path)
    return inspect_weights("resnet50", path)


@pytest.fixture(scope="session")
def spec(weights: Weights) -> FeatureSpec:
    return TorchvisionSpec(weights, 32, "layer1")


@pytest.fixture(scope="session")
def stem(weights: Weights) -> FeatureSpec:
    return TorchvisionSpec(weights, 32, "stem")

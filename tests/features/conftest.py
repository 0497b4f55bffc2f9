"""Small images, and backbone weights up to layer1 in a file."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import resnet50

from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weights import Weights, expected_shapes, inspect_weights


@dataclass(frozen=True)
class Part:
    images: np.ndarray
    fingerprint: str


@pytest.fixture(scope="session")
def part() -> Part:
    """200 images: four shards."""
    images = np.random.default_rng(0).integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    return Part(images, "fingerprint of these images")


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

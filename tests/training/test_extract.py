"""Extraction of a shard, and the precision it runs in."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifake_ray.errors import WorkError
from cifake_ray.models.backbone import Backbone, build_backbone
from cifake_ray.models.families.torchvision import TorchvisionSpec
from cifake_ray.models.weights import random_weights
from cifake_ray.training.extract import FP16_MAX, batch_images, extract_shard
from cifake_ray.training.precision import autocast_dtype

COLUMNS = ["stem.mean", "stem.std", "layer1.mean", "layer1.std"]
SPEC = TorchvisionSpec(random_weights("resnet50"), 32, "layer1")


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    images = np.random.default_rng(0).integers(0, 256, (10, 32, 32, 3), dtype=np.uint8)
    images.setflags(write=False)  # as arrays from Ray's object store are
    return images


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return build_backbone(random_weights("resnet50"), "layer1")


class Plateau(nn.Module):
    """A stage whose output is 0 at one of four positions and one value at the others."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, inputs: Tensor) -> Tensor:
        output = torch.full((len(inputs), 4, 2, 2), self.value)
        output[..., 0, 0] = 0
        return output


def test_shard_is_the_same_whatever_the_batch_size(images: np.ndarray, backbone: Backbone) -> None:
    whole = extract_shard(images, backbone, SPEC, COLUMNS, batch_size=10)
    parts = extract_shard(images, backbone, SPEC, COLUMNS, batch_size=3)
    assert {name: array.shape for name, array in whole.items()} == {
        "stem.mean": (10, 64), "stem.std": (10, 64), "layer1.mean": (10, 256), "layer1.std": (10, 256),
    }  # fmt: skip
    for name, array in whole.items():
        assert array.dtype == np.float16
        np.testing.assert_allclose(array.astype(float), parts[name].astype(float), rtol=2e-3, atol=1e-3)


def test_only_the_columns_asked_for_are_returned(images: np.ndarray, backbone: Backbone) -> None:
    assert list(extract_shard(images, backbone, SPEC, ["layer1.std"])) == ["layer1.std"]


def test_random_backbone_gives_finite_features_that_tell_images_apart(images: np.ndarray) -> None:
    spec = TorchvisionSpec(random_weights("resnet50"), 64, "layer4")
    for name, array in extract_shard(images, spec.build(spec.columns), spec, ["stem.std", "layer4.mean"]).items():
        assert np.isfinite(array).all(), name
        assert len(np.unique(array, axis=0)) == len(images), name
        assert np.abs(array).max() < 1000, name


@pytest.mark.parametrize("value", [1e9, 1e30])
def test_activations_beyond_float16_are_clamped(images: np.ndarray, value: float) -> None:
    features = extract_shard(images, Backbone({"stem": Plateau(value)}), SPEC, COLUMNS[:2])
    assert (features["stem.mean"] == FP16_MAX).all()
    assert (features["stem.std"] == FP16_MAX).all()


def test_nan_is_an_error_and_not_a_feature(images: np.ndarray) -> None:
    with pytest.raises(WorkError, match=r"stem\.mean.*NaN"):
        extract_shard(images, Backbone({"stem": Plateau(float("nan"))}), SPEC, COLUMNS[:2])


def test_bf16_on_request_stays_close_to_float32(images: np.ndarray, backbone: Backbone) -> None:
    exact = extract_shard(images[:2], backbone, SPEC, COLUMNS, precision="fp32")
    rough = extract_shard(images[:2], backbone, SPEC, COLUMNS, precision="bf16")
    for name, array in exact.items():
        np.testing.assert_allclose(rough[name].astype(float), array.astype(float), atol=0.05 * float(array.max()))


def test_batches_shrink_as_images_grow() -> None:
    assert [batch_images(size, "cpu") for size in (32, 64, 128, 224)] == [128, 32, 8, 4]
    assert batch_images(224, "cuda") > batch_images(224, "cpu")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True}, None),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True}, torch.bfloat16),
        ({"bf16": True}, None),  # ARM without the Arm Compute Library
    ],
)
def test_automatic_precision_is_bf16_only_where_the_cpu_computes_it(
    monkeypatch: Any, capabilities: dict[str, bool], expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    monkeypatch.setattr(torch.backends.mkldnn, "is_acl_available", lambda: False)
    cpu = torch.device("cpu")
    assert autocast_dtype(cpu, "auto") == expected
    assert autocast_dtype(cpu, "bf16") == torch.bfloat16
    assert autocast_dtype(cpu, "fp32") is None

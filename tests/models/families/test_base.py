"""Every kind has a family, and a new one needs no change elsewhere: two backbones under one head too."""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from cifake_ray.data import Part
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.table import make_table
from cifake_ray.detector.load import parameter_counts
from cifake_ray.detector.module import Detector
from cifake_ray.evaluation.saliency import class_activation_maps
from cifake_ray.experiment import MODEL_KINDS, ModelSettings, PassKey
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.families.base import Family, Prepare
from cifake_ray.models.head import Head
from cifake_ray.models.network import count_parameters
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import FAMILIES, family_of
from cifake_ray.models.weights import Weights

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)


class PairModel(ModelSettings):
    """Two frozen backbones side by side."""

    kind: Literal["pair"] = "pair"
    image_size: int = 32
    views: tuple[str, ...] = ("identity", "flip")
    parts: tuple[BackboneModel, BackboneModel]

    @property
    def takes_features(self) -> bool:
        return True

    @property
    def weight_names(self) -> tuple[str, ...]:
        return tuple(name for part in self.parts for name in part.weight_names)

    def reads(self, view: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:
        return tuple(read for part in self.parts for read in part.reads(view))


class PairFamily(Family[PairModel]):
    """Passes, weights and widths of the parts, one after the other."""

    def build(self, model: PairModel, weights: Sequence[Weights] = ()) -> nn.Module:  # noqa: ARG002
        return Head(self.width(model), head_width=4)

    def prepare(self, model: PairModel) -> Prepare:  # noqa: ARG002
        return Tensor.float

    def weights(self, model: PairModel) -> tuple[Weights, ...]:
        return tuple(itertools.chain(*(family_of(part).weights(part) for part in model.parts)))

    def passes_of(self, model: PairModel, weights: Sequence[Weights], view: str) -> list[FeatureSpec]:
        pairs = zip(model.parts, weights, strict=True)
        return [spec for part, one in pairs for spec in family_of(part).passes_of(part, [one], view)]

    def width(self, model: PairModel) -> int:
        return sum(family_of(part).width(part) for part in model.parts)

    def frozen_parameters(self, model: PairModel) -> int:
        return sum(family_of(part).frozen_parameters(part) for part in model.parts)


@pytest.fixture
def pair(monkeypatch: pytest.MonkeyPatch) -> Detector:
    monkeypatch.setitem(FAMILIES, "pair", PairFamily())
    parts = [{"kind": "resnet18", "stages": ("stem",)}, {"kind": "mobilenet_v2", "stages": ("features.0",)}]
    chosen = [BackboneModel.model_validate(part | {"weights": "random", "image_size": 32}) for part in parts]
    model = PairModel(parts=(chosen[0], chosen[1]))
    torch.manual_seed(0)
    family = family_of(model)
    return Detector(model, family.start(model), family.weights(model))  # type: ignore[arg-type]


def test_every_kind_has_a_family() -> None:
    assert list(FAMILIES) == list(MODEL_KINDS)


def test_settings_are_read_without_torch_and_ray() -> None:
    heavy = "import sys, cifake_ray.experiment as e; print(sorted({'torch', 'torchvision', 'ray'} & {*sys.modules}))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True).strip() == "[]"


def test_two_backbones_under_one_head_predict_from_images_as_from_cached_features(pair: Detector) -> None:
    table = make_table("test", np.zeros(8, np.uint8), np.array([f"{at}" for at in range(8)]), facts_of(IMAGES))
    part = Part(table, ArrayPixels(IMAGES), "eight images of two backbones")
    cached, extracted = pair.p_fake_of_part(part), pair.p_fake(IMAGES)
    np.testing.assert_allclose(cached, extracted, atol=1e-4)
    assert len({*extracted.round(6)}) > 1
    keys = [spec.key for view in pair.model.views for spec in pair.passes(view)]
    assert keys == [key for view in pair.model.views for key, _ in pair.model.reads(view)]


def test_two_backbones_are_counted_named_and_explained(pair: Detector) -> None:
    trained, held = parameter_counts(pair)
    assert trained == count_parameters(pair.network) < held
    assert pair.weights_label == pair.model.weights_label == "random+random"
    assert class_activation_maps(pair, IMAGES, np.array([True] * 8)).shape == (8, 8, 8)

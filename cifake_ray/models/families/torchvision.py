"""torchvision's networks: frozen with a head on cached features, or fine-tuned on images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from cifake_ray.console import Progress
from cifake_ray.experiment import PassKey
from cifake_ray.experiment.families.stages import deepest, taps_of, up_to
from cifake_ray.experiment.families.torchvision import BackboneModel, TorchvisionBackbone
from cifake_ray.models.backbone import Backbone, build_backbone, build_blocks, empty_blocks, normalise_imagenet
from cifake_ray.models.families.base import Prepare
from cifake_ray.models.families.source import Source
from cifake_ray.models.finetune import FineTunedBlocks
from cifake_ray.models.head import Head
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.pooling import pooled_width
from cifake_ray.models.weight_files import Weights
from cifake_ray.models.weights import expected_shapes, find_weights, resolve_weights
from cifake_ray.runs.records import BackboneNote

ALWAYS = ("mean", "std")  # of every stage on the way: next to no cost, and the next study may need the statistics


@dataclass(frozen=True)
class TorchvisionSpec(FeatureSpec):
    """A pass that computes mean and deviation of every whole stage on the way, besides the columns of heads."""

    @property
    def columns(self) -> tuple[str, ...]:
        kind = self.weights.kind
        stages = [name for name in up_to(kind, self.last_stage) if taps_of(kind)[name].stage == name]
        return tuple(dict.fromkeys([f"{stage}.{name}" for stage in stages for name in ALWAYS] + list(self.taken)))

    @property
    def width(self) -> int:
        return sum(_widths(self.weights.kind, self.columns))

    def build(self, columns: Sequence[str]) -> Backbone:
        kind = self.weights.kind
        return build_backbone(self.weights, deepest(kind, (name.rpartition(".")[0] for name in columns)))


class TorchvisionSource(Source[TorchvisionBackbone]):
    """torchvision's networks, with torchvision's weights or a file's."""

    def weights(
        self, backbone: TorchvisionBackbone, name: str, stages: Sequence[str], progress: Progress | None = None
    ) -> Weights:
        return resolve_weights(backbone.kind, name, stages, progress=progress)

    def is_here(self, backbone: TorchvisionBackbone, name: str, stages: Sequence[str]) -> bool:
        return find_weights(backbone.kind, name, stages) is not None

    def spec(self, weights: Weights, key: PassKey, columns: Sequence[str]) -> TorchvisionSpec:
        last = deepest(weights.kind, (column.rpartition(".")[0] for column in columns))
        return TorchvisionSpec(weights, key.image_size, last, key.weights, key.view, tuple(columns), key.fit, key.side)

    def column_widths(self, backbone: TorchvisionBackbone) -> list[int]:
        return _widths(backbone.kind, backbone.columns)

    def parameters(self, backbone: TorchvisionBackbone) -> int:
        shapes = expected_shapes(backbone.kind, *up_to(backbone.kind, deepest(backbone.kind, backbone.stages)))
        return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name)

    def normalisation(self, backbone: TorchvisionBackbone, weights: Weights) -> dict[str, Any]:  # noqa: ARG002
        return {"normalisation": "imagenet"}

    def from_note(self, backbone: TorchvisionBackbone, note: BackboneNote) -> Weights:
        return Weights(note.weights, note.sha256, (), note.licence, None, backbone.kind)

    def as_noted(self, backbone: TorchvisionBackbone, note: BackboneNote, name: str) -> Weights:  # noqa: ARG002
        return self.weights(backbone, name, backbone.stages)

    def prepare(self, model: BackboneModel) -> Prepare:
        return partial(normalise_imagenet, image_size=model.sizes[0])

    def fine_tuned(self, model: BackboneModel, head: Head, weights: Weights | None) -> FineTunedBlocks:
        last, taps = deepest(model.kind, model.stages), taps_of(model.kind)
        blocks = build_blocks(weights, last) if weights else empty_blocks(model.kind, model.stages)
        trainable = [name for name in blocks if model.trainable == "all" or taps[name].stage == taps[last].stage]
        return FineTunedBlocks(blocks, model.columns, head, trainable=trainable, lr_factor=model.backbone_lr_factor)


def _widths(kind: str, columns: Sequence[str]) -> list[int]:
    """Features of one image in each `stage.statistic`."""
    places = [column.rpartition(".") for column in columns]
    return [pooled_width(statistic, taps_of(kind)[stage].channels) for stage, _, statistic in places]

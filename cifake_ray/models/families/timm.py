"""timm's networks: frozen with a head on cached features, or fine-tuned on images."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cifake_ray.console import Progress
from cifake_ray.experiment import PassKey
from cifake_ray.experiment.families.timm import TimmBackbone as Settings
from cifake_ray.experiment.families.timm import TimmModel
from cifake_ray.models.backbone import normalise
from cifake_ray.models.families.base import Prepare
from cifake_ray.models.families.source import Source
from cifake_ray.models.finetune import FineTuned
from cifake_ray.models.head import Head
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.timm.library import random_network
from cifake_ray.models.timm.network import CutNetwork, TimmBackbone, layout, parameters
from cifake_ray.models.timm.weights import TimmWeights, find_timm, load_timm, resolve_timm
from cifake_ray.models.weight_files import Weights
from cifake_ray.runs.records import BackboneNote


@dataclass(frozen=True)
class TimmSpec(FeatureSpec):
    """A pass through a timm network, which is built for one size of its input."""

    weights: TimmWeights

    @property
    def identity(self) -> str:
        """The network and the normalisation too: a file's tensors may fit several networks."""
        weights = self.weights
        return f"{weights.sha256}/{weights.kind}/{weights.mean}/{weights.std}"

    @property
    def network(self) -> tuple[TimmWeights, int]:
        return self.weights, self.image_size

    @property
    def columns(self) -> tuple[str, ...]:
        return self.taken

    @property
    def width(self) -> int:
        found = layout(self.weights.network, self.image_size)
        return sum(map(found.width, self.columns))

    def build(self, columns: Sequence[str]) -> TimmBackbone:
        found = layout(self.weights.network, self.image_size)
        last = found.deepest([name.rpartition(".")[0] for name in columns])
        network = CutNetwork(load_timm(self.weights, self.image_size), found, last)
        return TimmBackbone(network, self.weights.mean, self.weights.std)


class FineTunedTimm(FineTuned):
    """A timm network that learns from the start of `last`, its deepest stage used, or as a whole.

    Input: float [n, 3, s, s] in 0..1; `mean` and `std` of the weights are buffers, saved with the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: CutNetwork, model: TimmModel, head: Head, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__(model.columns, head, lr_factor=model.backbone_lr_factor)
        self.network, self.whole = network, model.trainable == "all"
        self.last = network.layout.deepest(model.stages)
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1))
        self.freeze()

    @property
    def learning(self) -> list[nn.Module]:
        return [self.network] if self.whole else self.network.stage_modules(self.last)

    def pooled(self, images: Tensor) -> dict[str, Tensor]:
        return self.network.pooled((images - self.mean) / self.std, self.columns)


class TimmSource(Source[Settings]):
    """timm's networks, with weights of the hub, of a package or of a file."""

    def weights(
        self, backbone: Settings, name: str, stages: Sequence[str], progress: Progress | None = None
    ) -> TimmWeights:
        _check(backbone, stages)
        return resolve_timm(backbone.name, name, progress)

    def is_here(self, backbone: Settings, name: str, stages: Sequence[str]) -> bool:
        _check(backbone, stages)
        return find_timm(backbone.name, name) is not None

    def spec(self, weights: Weights, key: PassKey, columns: Sequence[str]) -> TimmSpec:
        assert isinstance(weights, TimmWeights)
        found = layout(weights.network, key.image_size)
        places = [column.rpartition(".") for column in columns]
        found.check(weights.network, [stage for stage, _, _ in places], [statistic for _, _, statistic in places])
        last = found.deepest([stage for stage, _, _ in places])
        return TimmSpec(weights, key.image_size, last, key.weights, key.view, tuple(columns), key.fit, key.side)

    def column_widths(self, backbone: Settings) -> list[int]:
        found = layout(backbone.name, backbone.sizes[0])
        return [found.width(column) for column in backbone.columns]

    def parameters(self, backbone: Settings) -> int:
        size = backbone.sizes[0]
        return parameters(backbone.name, size, layout(backbone.name, size).deepest(backbone.stages))

    def normalisation(self, backbone: Settings, weights: Weights) -> dict[str, Any]:
        assert isinstance(weights, TimmWeights)
        note = {"normalisation": "mean and std", "network": backbone.network}
        return {**note, "mean": list(weights.mean), "std": list(weights.std)}

    def from_note(self, backbone: Settings, note: BackboneNote) -> TimmWeights:
        return TimmWeights(
            note.weights, note.sha256, (), note.licence, None, backbone.network, tuple(note.mean), tuple(note.std)
        )

    def as_noted(self, backbone: Settings, note: BackboneNote, name: str) -> TimmWeights:
        """The head knows features under the noted normalisation, whatever card lies beside the file today."""
        found = self.weights(backbone, name, backbone.stages)
        return TimmWeights(
            found.name, found.sha256, found.stages, found.licence, found.path, found.kind, tuple(note.mean),
            tuple(note.std),
        )  # fmt: skip

    def prepare(self, model: TimmModel) -> Prepare:
        return partial(normalise, image_size=model.sizes[0], mean=(0.0,) * 3, std=(1.0,) * 3)

    def fine_tuned(self, model: TimmModel, head: Head, weights: Weights | None) -> FineTunedTimm:
        found = layout(model.name, model.sizes[0])
        found.check(model.name, model.stages, model.pool)
        mean, std = (weights.mean, weights.std) if isinstance(weights, TimmWeights) else ((0.0,) * 3, (1.0,) * 3)
        whole = (
            load_timm(weights, model.sizes[0])
            if isinstance(weights, TimmWeights)
            else random_network(model.name, model.sizes[0])
        )
        network = CutNetwork(whole, found, found.deepest(model.stages))
        return FineTunedTimm(network, model, head, mean, std)


def _check(backbone: Settings, stages: Sequence[str]) -> None:
    layout(backbone.name, backbone.sizes[0]).check(backbone.name, stages, backbone.pool)

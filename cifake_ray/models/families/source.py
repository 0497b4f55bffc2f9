"""Interface of a library of pretrained networks to the families that use them."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from torch import nn

from cifake_ray.console import Progress
from cifake_ray.experiment import PassKey
from cifake_ray.experiment.families.backbone import BackboneSettings
from cifake_ray.models.families.base import Prepare
from cifake_ray.models.head import Head
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weight_files import Weights
from cifake_ray.runs.records import BackboneNote

B = TypeVar("B", bound=BackboneSettings)


class Source(ABC, Generic[B]):
    """The networks of one library: their weights, their passes, and the network that is fine-tuned.

    `stages`: what a trial may request of the network; the weights have to cover the deepest.
    """

    @abstractmethod
    def weights(self, backbone: B, name: str, stages: Sequence[str], progress: Progress | None = None) -> Weights:
        """The weights that `name` names, downloaded where they are not here. Raises InputError."""

    @abstractmethod
    def is_here(self, backbone: B, name: str, stages: Sequence[str]) -> bool:
        """Whether the weights need no download. Raises InputError for a file that cannot be used."""

    @abstractmethod
    def spec(self, weights: Weights, key: PassKey, columns: Sequence[str]) -> FeatureSpec:
        """The pass of this key, of which heads take these `stage.statistic`."""

    @abstractmethod
    def column_widths(self, backbone: B) -> list[int]:
        """Features of one image in each of the backbone's columns, at one size."""

    @abstractmethod
    def parameters(self, backbone: B) -> int:
        """Parameters up to the deepest stage."""

    @abstractmethod
    def normalisation(self, backbone: B, weights: Weights) -> dict[str, Any]:
        """The keys of the note for model.json that say how pictures are normalised, and by which network."""

    def describe(self, backbone: B, weights: Weights) -> BackboneNote:
        """The note for model.json, without `views`."""
        return BackboneNote(
            weights=weights.name,
            sha256=weights.sha256,
            licence=weights.licence,
            image_size=list(backbone.sizes) if len(backbone.sizes) > 1 else backbone.sizes[0],
            stages=list(backbone.stages),
            pool=list(backbone.pool),
            **self.normalisation(backbone, weights),
        )

    @abstractmethod
    def from_note(self, backbone: B, note: BackboneNote) -> Weights:
        """The weights by their note alone, without a file: of a network whose own tensors are stored."""

    @abstractmethod
    def as_noted(self, backbone: B, note: BackboneNote, name: str) -> Weights:
        """The weights that `name` names, normalised as the note says. Raises InputError."""

    @abstractmethod
    def prepare(self, model: Any) -> Prepare:
        """The function from images to the input of a network that is fine-tuned."""

    @abstractmethod
    def fine_tuned(self, model: Any, head: Head, weights: Weights | None) -> nn.Module:
        """The network that is fine-tuned; without weights for a checkpoint to fill."""

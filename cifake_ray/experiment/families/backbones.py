"""Settings of several frozen backbones under one head: features of different networks err differently."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.families.backbone import BackboneSettings, Copies, joined_sizes, looks_of_copies
from cifake_ray.experiment.families.base import ModelSettings, PassKey
from cifake_ray.experiment.families.timm import TimmBackbone
from cifake_ray.experiment.families.torchvision import TorchvisionBackbone
from cifake_ray.experiment.values import ViewList

KIND: Literal["several-backbones"] = "several-backbones"
Backbone = Annotated[TorchvisionBackbone | TimmBackbone, Field(discriminator="kind")]


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def with_kind(tree: Any) -> Any:
    """The `model` section, with the kind that its key `backbones` implies."""
    return {"kind": KIND} | tree if isinstance(tree, dict) and "backbones" in tree else tree


class BackbonesModel(ModelSettings):
    """Several frozen backbones, and a dense head on the features of all, one backbone after the other.

    `fit`, `views` and `copies` are those of all backbones. The square that a picture is brought to has the largest
    `image_size` of all; smaller inputs are made from the square. Keys of a backbone are searched by their path, such
    as `backbones.0.image_size`.
    """

    kind: Literal["several-backbones"] = KIND
    backbones: Annotated[tuple[Backbone, ...], BeforeValidator(_as_tuple), Field(min_length=1, max_length=8)]
    views: ViewList = ("identity",)
    copies: Copies = 0
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def sizes(self) -> tuple[int, ...]:
        return joined_sizes(self.backbones)

    @property
    def label(self) -> str:
        return " + ".join(backbone.network for backbone in self.backbones)

    @property
    def copy_looks(self) -> tuple[str, ...]:
        return looks_of_copies(self.looks, self.copies)

    @property
    def takes_features(self) -> bool:
        return True

    @property
    def weight_names(self) -> tuple[str, ...]:
        return tuple(backbone.weights for backbone in self.backbones)

    @property
    def backbones_by_path(self) -> tuple[tuple[str, BackboneSettings], ...]:
        return tuple((f"backbones.{at}.", backbone) for at, backbone in enumerate(self.backbones))

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(package for backbone in self.backbones for package in backbone.packages))

    @property
    def missing_extra(self) -> str:
        return next((missing for backbone in self.backbones if (missing := backbone.missing_extra)), "")

    @property
    def input_keys(self) -> tuple[str, ...]:
        own = ("weights", "image_size", "stages", "pool")
        return ("fit", "views", "copies", *(f"{path}{key}" for path, _ in self.backbones_by_path for key in own))

    def reads(self, look: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:
        side = self.largest_size
        return tuple(read for backbone in self.backbones for read in backbone.keys(look, self.fit, side))

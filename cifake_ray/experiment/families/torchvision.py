"""Settings of torchvision's networks as backbones: frozen with a head on cached features, or fine-tuned."""

from typing import Any, Self, get_args

from pydantic import model_validator

from cifake_ray.errors import nearest
from cifake_ray.experiment.families.backbone import BackboneSettings, PretrainedModel, Sizes
from cifake_ray.experiment.families.stages import BackboneKind, default_stages, pooled_columns, taps_of
from cifake_ray.experiment.values import PoolList


class TorchvisionBackbone(BackboneSettings):
    """A torchvision network pooled after `stages` (blocks such as `layer1.0` too).

    `image_size`: one size, or several; features are taken at each size. `pool`: statistics of each stage over its
    positions, `corr` of the deepest alone: correlations of 64 projections of its channels.
    """

    kind: BackboneKind = "resnet50"
    weights: str = "imagenet-v1"
    image_size: Sizes = 64
    pool: PoolList = ("mean", "std")

    @model_validator(mode="before")
    @classmethod
    def _default_stages(cls, tree: Any) -> Any:
        if not isinstance(tree, dict) or tree.get("kind", "resnet50") not in get_args(BackboneKind):
            return tree
        return {"stages": default_stages(tree.get("kind", "resnet50"))} | tree

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        known = taps_of(self.kind)
        for name in self.stages:
            if name not in known:
                raise ValueError(f"stages: {self.kind} has no {name}; {nearest(name, list(known))}")
        self.check_lists()
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        return pooled_columns(self.kind, self.stages, self.pool)


class BackboneModel(TorchvisionBackbone, PretrainedModel):
    """A torchvision network pooled after `stages`, and a dense head on those features."""

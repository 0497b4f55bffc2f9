"""Settings of torchvision's networks as backbones: frozen with a head on cached features, or fine-tuned."""

from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from cifake_ray.errors import nearest
from cifake_ray.experiment.families.base import ModelSettings, PassKey
from cifake_ray.experiment.families.stages import BackboneKind, default_stages, pooled_columns, taps_of
from cifake_ray.experiment.values import PoolList, ViewList, split_plus

NameList = Annotated[tuple[str, ...], BeforeValidator(split_plus), Field(min_length=1)]


def _one_or_several(value: Any) -> Any:
    """One size or several: `64` and `[64]` are one, `64+32` and `[64, 32]` two."""
    values = split_plus(value) if isinstance(value, str) else value
    sizes = list(values) if isinstance(values, list | tuple) else [values]
    if (
        not sizes
        or any(isinstance(size, bool) for size in sizes)
        or not all(str(size).isdigit() and 32 <= int(size) <= 1024 for size in sizes)
    ):
        raise ValueError(f"expected whole pixels from 32 to 1024, or several sizes such as [64, 32], found {value!r}")
    return tuple(map(int, sizes)) if len(sizes) > 1 else int(sizes[0])


class BackboneModel(ModelSettings):
    """A torchvision network pooled after `stages` (blocks such as `layer1.0` too), and a dense head on those features.

    `image_size`: one size, or several; features are taken at each size. `pool`: statistics of each stage over its
    positions, `corr` of the deepest alone: correlations of 64 projections of its channels.
    `trainable: none`: frozen, and its features are cached. `last-stage`, `all`: fine-tuned on images, from the start of
    the deepest stage used or from the first, at `backbone_lr_factor` times the head's learning rate.
    `views`: a frozen network's head trains on one of them an image and step; all are averaged to judge an image.
    """

    kind: BackboneKind = "resnet50"
    weights: str = "imagenet-v1"
    image_size: Annotated[int | tuple[int, ...], BeforeValidator(_one_or_several)] = 64
    stages: NameList
    pool: PoolList = ("mean", "std")
    views: ViewList = ("identity",)
    trainable: Literal["none", "last-stage", "all"] = "none"
    backbone_lr_factor: float = Field(0.1, gt=0, le=1)
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)

    @model_validator(mode="before")
    @classmethod
    def _default_stages(cls, tree: Any) -> Any:
        if not isinstance(tree, dict) or tree.get("kind", "resnet50") not in get_args(BackboneKind):
            return tree
        return {"stages": default_stages(tree.get("kind", "resnet50"))} | tree

    @model_validator(mode="after")
    def _check_lists(self) -> "BackboneModel":
        known = taps_of(self.kind)
        for name in self.stages:
            if name not in known:
                raise ValueError(f"stages: {self.kind} has no {name}; {nearest(name, list(known))}")
        for key, values in (("stages", self.stages), ("image_size", self.sizes), ("pool", self.pool)):
            if len({*values}) < len(values):
                raise ValueError(f"{key}: one is given twice")
        if len(self.sizes) > 1 and not self.takes_features:
            raise ValueError("image_size: several sizes are for a frozen network; name one, or set trainable to none")
        return self

    @property
    def sizes(self) -> tuple[int, ...]:
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size,)

    @property
    def columns(self) -> tuple[str, ...]:
        """`stage.statistic` that the head takes at each size, in this order."""
        return pooled_columns(self.kind, self.stages, self.pool)

    @property
    def label(self) -> str:
        return self.kind if self.takes_features else f"{self.kind}, fine-tuned"

    @property
    def takes_features(self) -> bool:
        return self.trainable == "none"

    @property
    def weight_names(self) -> tuple[str, ...]:
        return (self.weights,)

    @property
    def input_keys(self) -> tuple[str, ...]:
        return (
            ("weights", "image_size", "fit", "stages", "pool", "views") if self.takes_features else super().input_keys
        )

    def reads(self, look: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:
        if not self.takes_features:
            return ()
        keys = (PassKey(self.kind, self.weights, size, look, self.fit, self.largest_size) for size in self.sizes)
        return tuple((key, self.columns) for key in keys)

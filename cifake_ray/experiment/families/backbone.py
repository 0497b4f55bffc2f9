"""Settings of a pretrained network as a backbone, whatever library has it: what is read, at which sizes, for a head."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.families.base import ModelSettings, PassKey
from cifake_ray.experiment.values import FeatureNorm, NameList, Strict, ViewList, split_plus
from cifake_ray.fits import Fit


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


Copies = Annotated[int, Field(ge=0, le=8)]
Sizes = Annotated[int | tuple[int, ...], BeforeValidator(_one_or_several)]


class BackboneSettings(Strict):
    """A pretrained network, pooled after `stages` at one size of its input or several.

    `pool`: statistics of each stage. `feature_norm`: how each statistic of each stage and size is normalised, picture
    by picture, before the head: to mean 0 and deviation 1 over its features (`layer`), to length 1 (`l2`), not at all.
    """

    kind: str
    weights: str
    image_size: Sizes
    stages: NameList
    pool: tuple[str, ...]
    feature_norm: FeatureNorm = "none"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of the network's inputs."""
        return self.image_size if isinstance(self.image_size, tuple) else (self.image_size,)

    @property
    def network(self) -> str:
        """The name of the network, which is the `kind` of its passes."""
        return self.kind

    @property
    def packages(self) -> tuple[str, ...]:
        """The Python packages of an extra that the network's features follow from."""
        return ()

    @property
    def missing_extra(self) -> str:
        """The extra of this program without which the network cannot be had here; empty where nothing is missing."""
        return ""

    @property
    def columns(self) -> tuple[str, ...]:
        """`stage.statistic` that the head takes at each size, in this order."""
        return tuple(f"{stage}.{statistic}" for stage in self.stages for statistic in self.pool)

    def keys(self, look: str, fit: Fit, side: int) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:
        """The pass of each size and its columns; `side`: of the square that a picture is brought to."""
        return tuple((PassKey(self.network, self.weights, size, look, fit, side), self.columns) for size in self.sizes)

    def check_lists(self) -> None:
        """Raise ValueError when a list names a value twice."""
        for key, values in (("stages", self.stages), ("image_size", self.sizes), ("pool", self.pool)):
            if len({*values}) < len(values):
                raise ValueError(f"{key}: one is given twice")


class PretrainedModel(BackboneSettings, ModelSettings):
    """One pretrained network, and a dense head on its features.

    `trainable: none`: frozen, and its features are cached. `last-stage`, `all`: fine-tuned on images, from the start of
    the deepest stage used or from the first, at `backbone_lr_factor` times the head's learning rate.
    `views`: a frozen network's head trains on one of them an image and step; all are averaged to judge an image.
    `copies`: so many further passes over augmented copies of the train pictures, of which training draws too; each copy
    is drawn once, as `training.augment` says, and seen under one of the views.
    """

    views: ViewList = ("identity",)
    copies: Copies = 0
    trainable: Literal["none", "last-stage", "all"] = "none"
    backbone_lr_factor: float = Field(0.1, gt=0, le=1)
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def label(self) -> str:
        return self.network if self.takes_features else f"{self.network}, fine-tuned"

    @property
    def copy_looks(self) -> tuple[str, ...]:
        return looks_of_copies(self.looks, self.copies)

    @property
    def takes_features(self) -> bool:
        return self.trainable == "none"

    @property
    def weight_names(self) -> tuple[str, ...]:
        return (self.weights,)

    @property
    def backbones_by_path(self) -> tuple[tuple[str, BackboneSettings], ...]:
        return (("", self),)

    @property
    def input_keys(self) -> tuple[str, ...]:
        own = ("weights", "image_size", "fit", "stages", "pool", "views", "copies")
        return own if self.takes_features else super().input_keys

    def reads(self, look: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:
        return self.keys(look, self.fit, self.largest_size) if self.takes_features else ()

    def check_lists(self) -> None:
        super().check_lists()
        if self.copies and not self.takes_features:
            raise ValueError("copies: of the pictures of a frozen network; set it to 0, and augment as you like")
        if len(self.sizes) > 1 and not self.takes_features:
            raise ValueError("image_size: several sizes are for a frozen network; name one, or set trainable to none")


def looks_of_copies(looks: Sequence[str], copies: int) -> tuple[str, ...]:
    """One look for each copy, the looks in turn: of identity and flip `copy1/flip`, `copy2/identity`, `copy3/flip`."""
    return tuple(f"copy{number}/{looks[number % len(looks)]}" for number in range(1, copies + 1))


def joined_sizes(backbones: Sequence[BackboneSettings]) -> tuple[int, ...]:
    """The sizes of all backbones, each once."""
    return tuple(dict.fromkeys(size for backbone in backbones for size in backbone.sizes))

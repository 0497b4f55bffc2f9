"""Settings of the custom CNNs."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cifake_ray.experiment.families.base import ModelSettings
from cifake_ray.experiment.values import ViewList, split_plus, unrepeated

CnnPool = Literal["flatten", "grid4", "grid2", "mean", "std", "max"]
CnnPoolList = Annotated[
    tuple[CnnPool, ...], BeforeValidator(split_plus), AfterValidator(unrepeated), Field(min_length=1)
]


class CnnModel(ModelSettings):
    """Two convolutional layers (2x2 max pooling, batch norm, ReLU), then dense layers of `head_width` and 1.

    `kernel_size`: of the first layer, the second has 3. `widen`: how many times `channels` the second layer has.
    `pool`: what the dense layers see of its maps: all positions (`flatten`), averages over a grid of 4x4 or 2x2, or
    each channel's mean, standard deviation or maximum. `views`: looks at an image to be judged; logits are averaged.
    """

    kind: Literal["cnn"] = "cnn"
    image_size: int = Field(32, ge=16, le=1024)
    channels: int = Field(32, ge=1, le=1024)
    widen: int = Field(1, ge=1, le=8)
    kernel_size: int = Field(3, ge=1, le=15)
    pool: CnnPoolList = ("flatten",)
    head_width: int = Field(64, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)
    views: ViewList = ("identity",)


class CnnDeepModel(ModelSettings):
    """Five convolutional layers of `channels`, twice 2 x and twice 3 x `channels`, then dense `head_width` and 1.

    `kernel_size`: of the first layer, the others have 3. `pool`, `views`: as those of `cnn`.
    """

    kind: Literal["cnn-deep"] = "cnn-deep"
    image_size: int = Field(32, ge=16, le=1024)
    channels: int = Field(32, ge=1, le=512)
    kernel_size: int = Field(5, ge=1, le=15)
    pool: CnnPoolList = ("flatten",)
    head_width: int = Field(64, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)
    views: ViewList = ("identity",)

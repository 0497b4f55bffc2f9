"""The `model` section: one class a kind."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.values import PoolList, Stage, Strict, ViewList, split_plus

StageList = Annotated[tuple[Stage, ...], BeforeValidator(split_plus), Field(min_length=1)]
CnnPool = Literal["flatten", "mean", "std", "max"]
CnnPoolList = Annotated[tuple[CnnPool, ...], BeforeValidator(split_plus), Field(min_length=1)]


class CnnModel(Strict):
    """Two convolutional layers (batch norm, ReLU, 2x2 max pooling), then dense layers of `head_width` and 1.

    `pool`: what the dense layers see of the second layer's maps: all of their pixels (`flatten`), or each channel's
    mean, standard deviation or maximum. `views`: images whose predictions are averaged, such as `[identity, flip]`.
    """

    kind: Literal["cnn"] = "cnn"
    image_size: int = Field(32, ge=16, le=128)
    channels: int = Field(32, ge=1, le=1024)
    kernel_size: int = Field(3, ge=1, le=15)
    pool: CnnPoolList = ("flatten",)
    head_width: int = Field(64, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)
    views: ViewList = ("identity",)

    @property
    def frozen(self) -> bool:
        return False


class CnnDeepModel(Strict):
    """Six 3x3 convolutions, pairs of `channels`, 2 x and 4 x `channels`, global pooling, dense `head_width` and 1."""

    kind: Literal["cnn-deep"] = "cnn-deep"
    image_size: int = Field(32, ge=16, le=128)
    channels: int = Field(32, ge=1, le=512)
    pool: CnnPoolList = ("mean",)
    head_width: int = Field(64, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)
    views: ViewList = ("identity",)

    @property
    def frozen(self) -> bool:
        return False


class ResNet50Model(Strict):
    """Frozen torchvision ResNet50, pooled after `stages`, and a dense head of `head_width` on those features."""

    kind: Literal["resnet50"] = "resnet50"
    weights: str = "imagenet-v1"
    image_size: int = Field(64, ge=32, le=224)
    stages: StageList = ("stem", "layer1", "layer2")
    pool: PoolList = ("mean", "std")
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)

    @property
    def frozen(self) -> bool:
        return True


Model = Annotated[CnnModel | CnnDeepModel | ResNet50Model, Field(discriminator="kind")]

MODELS: dict[str, type[Strict]] = {"cnn": CnnModel, "cnn-deep": CnnDeepModel, "resnet50": ResNet50Model}
MODEL_KINDS = tuple(MODELS)

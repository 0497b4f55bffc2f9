"""The `model` section: one class a kind."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.values import Pool, Stage, Strict, split_plus

StageList = Annotated[tuple[Stage, ...], BeforeValidator(split_plus), Field(min_length=1)]
PoolList = Annotated[tuple[Pool, ...], BeforeValidator(split_plus), Field(min_length=1)]


class CnnModel(Strict):
    """Two convolutional layers (3x3, batch norm, ReLU, 2x2 max pooling), then dense layers of `head_width` and 1."""

    kind: Literal["cnn"] = "cnn"
    head_width: int = Field(64, ge=1, le=8192)
    channels: int = Field(32, ge=1, le=1024)
    dropout: float = Field(0.0, ge=0, lt=1)


class ResNet50Model(Strict):
    """Frozen torchvision ResNet50, pooled after `stages`, and a dense head of `head_width` on those features."""

    kind: Literal["resnet50"] = "resnet50"
    weights: str = "imagenet-v1"
    image_size: int = Field(64, ge=32, le=224)
    stages: StageList = ("stem", "layer1", "layer2")
    pool: PoolList = ("mean", "std")
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)


Model = Annotated[CnnModel | ResNet50Model, Field(discriminator="kind")]

MODELS: dict[str, type[Strict]] = {"cnn": CnnModel, "resnet50": ResNet50Model}
MODEL_KINDS = tuple(MODELS)

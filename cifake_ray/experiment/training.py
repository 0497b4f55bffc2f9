"""The `training` section."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.values import Strict, split_plus

Augmentations = Annotated[tuple[Literal["flip", "crop"], ...], BeforeValidator(split_plus)]


class Training(Strict):
    """How a trial is trained. `lr_schedule: cosine` falls from `lr` to zero over `epochs`."""

    epochs: int = Field(10, ge=1, le=10_000)
    lr: float = Field(1e-3, gt=0, le=10)
    batch_size: int = Field(32, ge=2, le=65_536)
    weight_decay: float = Field(0.0, ge=0, le=10)
    optimizer: Literal["adam", "adamw"] = "adamw"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    augment: Augmentations = ()
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    seed: int = Field(0, ge=0, lt=2**31)

"""The `training` section."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cifake_ray.experiment.values import Strict, split_plus, unrepeated

Augmentation = Literal["flip", "window", "crop", "blur", "noise", "jpeg", "cutout"]
Augmentations = Annotated[tuple[Augmentation, ...], BeforeValidator(split_plus), AfterValidator(unrepeated)]


class Training(Strict):
    """How a trial is trained.

    The rate rises linearly over the first `warmup` (a share of all epochs); then `cosine` and `linear` fall from `lr`
    to zero. `ema`: decay of the moving average of the weights; the average is then validated, saved and tested.

    `augment`: `flip` mirrors half of the images, `window` draws the square anew within the picture (for `model.fit`
    crop and repeat), `crop` shifts each image by up to `crop_padding` pixels; `blur`, `noise`,
    `jpeg` and `cutout` meet half of the images each, at a strength drawn evenly up to the given one (a standard
    deviation in pixels, one in grey levels 0..255, the lowest quality, the longest edge in pixels).
    """

    epochs: int = Field(10, ge=1, le=10_000)
    lr: float = Field(1e-3, gt=0, le=10)
    batch_size: int = Field(32, ge=2, le=65_536)
    weight_decay: float = Field(0.0, ge=0, le=10)
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    augment: Augmentations = ()
    crop_padding: int = Field(4, ge=1, le=16)
    blur_sigma: float = Field(0.6, gt=0, le=3)
    noise_std: float = Field(8.0, gt=0, le=128)
    jpeg_quality: int = Field(60, ge=1, le=100)
    cutout_size: int = Field(8, ge=1, le=32)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.0, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**31)

"""The `training` section."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cifake_ray.experiment.values import Strict, split_plus, unrepeated

Augmentation = Literal["flip", "window", "crop", "screenshot", "resize", "blur", "noise", "jpeg", "cutout"]
Augmentations = Annotated[tuple[Augmentation, ...], BeforeValidator(split_plus), AfterValidator(unrepeated)]

STRENGTHS: dict[str, tuple[str, ...]] = {  # of the augmentations that leave every pixel at its place
    "screenshot": ("screenshot_zoom",),
    "resize": ("resize_scale",),
    "blur": ("blur_sigma",),
    "noise": ("noise_std",),
    "jpeg": ("jpeg_quality", "jpeg_rounds"),
}


class Training(Strict):
    """How a trial is trained.

    The rate rises linearly over the first `warmup` (a share of all epochs); then `cosine` and `linear` fall from `lr`
    to zero. `ema`: decay of the moving average of the weights; the average is then validated, saved and tested.

    `augment`: `flip` mirrors half of the images, `window` draws the square anew within the picture (for `model.fit`
    crop and repeat), `crop` shifts each image by up to `crop_padding` pixels. The others meet half of the images
    each, in this order, at a strength drawn evenly up to the given one: `screenshot` (shown on a screen at up to
    `screenshot_zoom` times its size or at as small a part of it, captured, and brought back), `resize` (reduced down to
    `resize_scale` of its size and enlarged again), `blur` (a standard deviation in pixels), `noise` (one in grey levels
    0..255), `jpeg` (the lowest quality; 1 to `jpeg_rounds` times in a row), `cutout` (the longest edge in pixels).
    """

    epochs: int = Field(10, ge=1, le=10_000)
    lr: float = Field(1e-3, gt=0, le=10)
    batch_size: int = Field(32, ge=2, le=65_536)
    weight_decay: float = Field(0.0, ge=0, le=10)
    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    augment: Augmentations = ()
    crop_padding: int = Field(4, ge=1, le=16)
    screenshot_zoom: float = Field(1.5, gt=1, le=4)
    resize_scale: float = Field(0.5, ge=0.1, lt=1)
    blur_sigma: float = Field(0.6, gt=0, le=3)
    noise_std: float = Field(8.0, gt=0, le=128)
    jpeg_quality: int = Field(60, ge=1, le=100)
    jpeg_rounds: int = Field(1, ge=1, le=3)
    cutout_size: int = Field(8, ge=1, le=32)
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    lr_schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup: float = Field(0.0, ge=0, lt=1)
    ema: float = Field(0.0, ge=0, lt=1)
    seed: int = Field(0, ge=0, lt=2**31)

    def copy_recipe(self) -> "Training":
        """The augmentations, their strengths and the seed alone: what augmented copies of a study follow from."""
        strengths = (name for augmentation in self.augment for name in STRENGTHS.get(augmentation, ()))
        return Training(**{name: getattr(self, name) for name in ("augment", "seed", *strengths)})

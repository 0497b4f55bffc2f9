"""Find the family of a model."""

from typing import Any, get_args

from cifake_ray.experiment import ModelSettings
from cifake_ray.experiment.families.backbones import KIND
from cifake_ray.experiment.families.stages import BackboneKind
from cifake_ray.models.families.backbones import BackbonesFamily
from cifake_ray.models.families.base import Family
from cifake_ray.models.families.cnn import CnnDeepFamily, CnnFamily
from cifake_ray.models.families.pretrained import PretrainedFamily
from cifake_ray.models.families.python import PythonFamily
from cifake_ray.models.families.source import Source
from cifake_ray.models.families.timm import TimmSource
from cifake_ray.models.families.torchvision import TorchvisionSource

SOURCES: dict[str, Source[Any]] = {
    **dict.fromkeys(get_args(BackboneKind), TorchvisionSource()),
    "timm": TimmSource(),
}
FAMILIES: dict[str, Family[Any]] = {"cnn": CnnFamily(), "cnn-deep": CnnDeepFamily()}
FAMILIES |= dict.fromkeys(SOURCES, PretrainedFamily(SOURCES))
FAMILIES[KIND] = BackbonesFamily(SOURCES)
FAMILIES["python"] = PythonFamily()


def family_of(model: ModelSettings) -> Family[Any]:
    """The family that the model's `kind` names."""
    return FAMILIES[model.kind]

"""Find the family of a model."""

from typing import Any, get_args

from cifake_ray.experiment import ModelSettings
from cifake_ray.experiment.families.stages import BackboneKind
from cifake_ray.models.families.base import Family
from cifake_ray.models.families.cnn import CnnDeepFamily, CnnFamily
from cifake_ray.models.families.python import PythonFamily
from cifake_ray.models.families.torchvision import TorchvisionFamily

FAMILIES: dict[str, Family[Any]] = {"cnn": CnnFamily(), "cnn-deep": CnnDeepFamily()}
FAMILIES |= dict.fromkeys(get_args(BackboneKind), TorchvisionFamily())
FAMILIES["python"] = PythonFamily()


def family_of(model: ModelSettings) -> Family[Any]:
    """The family that the model's `kind` names."""
    return FAMILIES[model.kind]

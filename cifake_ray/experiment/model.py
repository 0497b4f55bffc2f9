"""The `model` section: the settings of one family, found by `kind`."""

from collections.abc import Sequence
from typing import Annotated, get_args

from pydantic import BeforeValidator, Field

from cifake_ray.experiment.families.backbones import BackbonesModel, with_kind
from cifake_ray.experiment.families.cnn import CnnDeepModel, CnnModel
from cifake_ray.experiment.families.python import PythonModel
from cifake_ray.experiment.families.timm import TimmBackbone, TimmModel
from cifake_ray.experiment.families.torchvision import BackboneModel, TorchvisionBackbone
from cifake_ray.experiment.values import Strict

_Families = CnnModel | CnnDeepModel | BackboneModel | TimmModel | BackbonesModel | PythonModel
Model = Annotated[_Families, Field(discriminator="kind"), BeforeValidator(with_kind)]


def _by_kind(classes: Sequence[type[Strict]]) -> dict[str, type[Strict]]:
    return {kind: one for one in classes for kind in get_args(one.model_fields["kind"].annotation)}


MODELS = _by_kind(get_args(_Families))
BACKBONES = _by_kind((TorchvisionBackbone, TimmBackbone))  # of the key `backbones`
MODEL_KINDS = tuple(MODELS)

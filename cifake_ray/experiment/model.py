"""The `model` section: the settings of one family, found by `kind`."""

from typing import Annotated, get_args

from pydantic import Field

from cifake_ray.experiment.families.cnn import CnnDeepModel, CnnModel
from cifake_ray.experiment.families.python import PythonModel
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.experiment.values import Strict

Model = Annotated[CnnModel | CnnDeepModel | BackboneModel | PythonModel, Field(discriminator="kind")]

MODELS: dict[str, type[Strict]] = {
    kind: settings
    for settings in get_args(get_args(Model)[0])
    for kind in get_args(settings.model_fields["kind"].annotation)
}
MODEL_KINDS = tuple(MODELS)

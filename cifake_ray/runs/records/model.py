"""best/model.json: what the weights beside it are, and how to feed them. Written by `detector.load`."""

import math
from typing import Any

from pydantic import Field, field_serializer

from cifake_ray.experiment import Fit, Model, Neutral, Strict
from cifake_ray.runs.records.base import Record
from cifake_ray.runs.records.decision import Decision


class BackboneNote(Record):
    """The pretrained backbone of a model; of a frozen one, no weights lie in the run.

    `network`: where `weights` do not tell it. `mean`, `std`: of RGB in 0..1, where these are no family's own.
    """

    weights: str
    sha256: str
    licence: str
    image_size: int | list[int] = 0
    stages: list[str] = []
    pool: list[str] = []
    views: list[str] = []
    normalisation: str = ""
    network: str = ""
    mean: list[float] = []
    std: list[float] = []


class Property(Record):
    """A property of the validation images: median, and the distance of the outermost 0.5 % on either side."""

    name: str
    median: float
    below: float
    above: float


class Domain(Record):
    """What the validation images are like. A picture with a score above `threshold` is unlike them."""

    schema_version: int = Field(0, alias="schema")
    images: int = 0
    properties: list[Property]
    threshold: float


class TransformNote(Record):
    """How a picture becomes the squares that the model takes; the defaults are those of version 0.1.

    `name`: of the transform, which a version without that transform refuses; notes without a name are older.
    `neutral`: the encoding of the pictures that the model was trained on; others are brought to its middle quality.
    """

    name: str = ""
    fit: Fit = "resize"
    side: int = 32
    reduced: bool = False
    neutral: Neutral | None = None


class ModelNote(Record):
    """best/model.json. `backbone`: of one pretrained network, `backbones`: of several.

    `sha256`: of model.safetensors, None in version 0.1; `epoch`: the best epoch of its seed.
    `members`: of a blend, heaviest first; `model` and `transform` are then those of the first. The tensors of member n
    are named with the prefix `n.`, from 0.
    `domain`, `decision`: None where the model was not described, not calibrated.
    """

    schema_version: int = Field(0, alias="schema")
    model: Model
    backbone: BackboneNote | None = None
    backbones: list[BackboneNote] = []
    input: str = ""
    transform: TransformNote = TransformNote()
    labels: list[str] = ["FAKE", "REAL"]
    positive_class: str = "FAKE"
    sha256: str | None = None
    study: str = ""
    seed: int | None = None
    epoch: int | None = None
    val_accuracy: float = math.nan
    data_fingerprint: str | None = None
    domain: Domain | None = None
    members: list["MemberNote"] = []
    decision: Decision | None = None

    @property
    def judging(self) -> "list[ModelNote]":
        """The notes of the models that judge a picture: the members of a blend, else this one."""
        return [member.note for member in self.members] or [self]

    @property
    def pretrained(self) -> list[BackboneNote]:
        """The notes of all pretrained networks, in the order of the model's."""
        return self.backbones or ([self.backbone] if self.backbone else [])

    @field_serializer("model")
    def _with_defaults(self, model: Strict) -> dict[str, Any]:
        """All settings that the note states, so that another version's defaults do not change the model.

        A note states every setting of the version that wrote it (`describe_detector`); later keys stay out of it.
        """
        return model.model_dump(mode="json", include=model.model_fields_set | {"kind"})


class MemberNote(Record):
    """A model in a blend: the run that it is of, its weight, and its own best/model.json."""

    run: str
    weight: float
    note: ModelNote


class Calibrated(Record):
    """What a report reads of best/model.json, which holds more: whatever the kind of model, this loads."""

    seed: int | None = None
    domain: Domain | None = None
    decision: Decision | None = None

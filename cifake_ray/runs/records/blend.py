"""blend.json: which models a blend averages, with which weights, and how these were chosen. Written by
`evaluation.blend`."""

import math

from pydantic import Field

from cifake_ray.runs.records.base import Record


class BlendMember(Record):
    """One model that was offered. `chosen`: times that the selection took it; `weight`: its share of all times.

    `sha256`: of model.safetensors in the member's run; `val_accuracy`: of this model alone on the validation images.
    """

    run: str = ""
    model: str = ""
    seed: int | None = None
    sha256: str | None = None
    chosen: int = 0
    weight: float = 0.0
    val_accuracy: float = math.nan


class BlendNote(Record):
    """blend.json. `metric`: what the weights were chosen by; `validation_images`: on how many images.

    `val_accuracy`: of the blend, on the same images that chose its weights.
    """

    schema_version: int = Field(0, alias="schema")
    members: list[BlendMember] = []
    metric: str = ""
    method: str = ""
    validation_images: int | None = None
    val_accuracy: float = math.nan

    @property
    def words(self) -> str:
        """`0.60 cnn + 0.40 resnet50`: the runs that are averaged, heaviest first; empty without members."""
        used = sorted((member for member in self.members if member.chosen), key=lambda member: -member.chosen)
        return " + ".join(f"{member.weight:.2f} {member.run}" for member in used)

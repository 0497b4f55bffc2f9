"""Values that several sections of an experiment share."""

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict

Stage = Literal["stem", "layer1", "layer2", "layer3", "layer4"]
Pool = Literal["mean", "std"]
Scalar = bool | int | float | str
Metric = Literal["val_accuracy", "val_loss"]
SecondObjective = Literal["parameters", "inference_ms"]  # trained parameters; milliseconds of one image on one thread
STAGES: tuple[str, ...] = get_args(Stage)


def split_plus(value: Any) -> Any:
    """`mean+std` is `[mean, std]`: how a choice of several is written in a search space and in trials.csv."""
    if not isinstance(value, str):
        return value
    return value.split("+") if value else []


def join_plus(value: Any) -> Any:
    """`[mean, std]` as `mean+std`; other values as they are."""
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else value


class Strict(BaseModel):
    """Immutable; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

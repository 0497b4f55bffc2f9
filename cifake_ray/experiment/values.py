"""Values that several sections of an experiment share."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Scalar = bool | int | float | str
Metric = Literal["val_accuracy", "val_loss"]
SecondObjective = Literal["parameters", "inference_ms"]  # trained parameters; milliseconds of one image on one thread
_STEP = r"(flip|(left|right|up|down)[1-8])"


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


Pool = Literal["mean", "std", "max", "grid2", "corr"]


def _check_view(view: str) -> str:
    if not re.fullmatch(rf"identity|{_STEP}(-{_STEP})*", view):
        raise ValueError(f"{view} is no view; expected identity, flip, a shift by 1 to 8 pixels as left2, or flip-up1")
    return view


View = Annotated[str, AfterValidator(_check_view)]
PoolList = Annotated[tuple[Pool, ...], BeforeValidator(split_plus), Field(min_length=1)]
ViewList = Annotated[tuple[View, ...], BeforeValidator(split_plus), Field(min_length=1)]

"""Values that several sections of an experiment share."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Scalar = bool | int | float | str
Metric = Literal["val_accuracy", "val_loss"]
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
View = Annotated[str, Field(pattern=rf"^(identity|{_STEP}(-{_STEP})*)$")]
PoolList = Annotated[tuple[Pool, ...], BeforeValidator(split_plus), Field(min_length=1)]
ViewList = Annotated[tuple[View, ...], BeforeValidator(split_plus), Field(min_length=1)]

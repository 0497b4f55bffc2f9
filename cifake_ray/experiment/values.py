"""Values that several sections of an experiment share."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Scalar = bool | int | float | str
SecondObjective = Literal["parameters", "inference_ms"]  # trained parameters; milliseconds of one image on one thread
_STEP = r"(flip|(left|right|up|down)[1-8])"


def split_plus(value: Any) -> Any:
    """`mean+std` is `[mean, std]`: how a choice of several is written in a search space and in trials.csv."""
    if isinstance(value, list):
        return tuple(value)
    if not isinstance(value, str):
        return value
    return tuple(value.split("+")) if value else ()


def unrepeated(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values. Raises ValueError when one is given twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{value} is given twice; remove one")
    return values


def join_plus(value: Any) -> Any:
    """`[mean, std]` as `mean+std`; other values as they are."""
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else value


class Strict(BaseModel):
    """Immutable; an unknown key is an error, and so is a value of another type: `yes` and "2" are no numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, strict=True)


Pool = Literal["mean", "std", "max", "grid2", "corr"]
FeatureNorm = Literal["none", "layer", "l2"]


def _check_view(view: str) -> str:
    steps = [step.rstrip("12345678") for step in view.split("-")]
    repeated = len({"across" if step in ("left", "right") else "along" if step != "flip" else step for step in steps})
    if not re.fullmatch(rf"identity|{_STEP}(-{_STEP})*", view) or repeated < len(steps):
        raise ValueError(f"{view} is no view; expected identity, flip, a shift by 1 to 8 pixels as left2, or flip-up1")
    return view


View = Annotated[str, AfterValidator(_check_view)]
PoolList = Annotated[tuple[Pool, ...], BeforeValidator(split_plus), AfterValidator(unrepeated), Field(min_length=1)]
NameList = Annotated[tuple[str, ...], BeforeValidator(split_plus), Field(min_length=1)]
ViewList = Annotated[tuple[View, ...], BeforeValidator(split_plus), AfterValidator(unrepeated), Field(min_length=1)]

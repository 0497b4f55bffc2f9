"""The `search_space` section: which keys vary, and between what."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError

from cifake_ray.errors import nearest
from cifake_ray.experiment.keys import keys_of, value_at, with_value
from cifake_ray.experiment.values import Scalar, Strict, join_plus


def _listed(value: Any) -> Any:
    return tuple(value) if isinstance(value, list | tuple) else (value,)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


Values = Annotated[
    tuple[Annotated[Scalar, BeforeValidator(join_plus)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1, max_length=1000),
]


class _Conditional(Strict):
    """`when`: the categorical dimensions, with the values, that make this one active; else the own value holds."""

    when: dict[str, Annotated[Values, BeforeValidator(_listed)]] = Field(default_factory=dict)


class FloatDimension(_Conditional):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


class IntDimension(_Conditional):
    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @property
    def bounds(self) -> tuple[int, int]:
        return self.low, self.high


class CategoricalDimension(_Conditional):
    """`choices` are scalars; a choice that is a list is written, stored and shown joined by `+`."""

    type: Literal["categorical"]
    choices: Values


Dimension = Annotated[FloatDimension | IntDimension | CategoricalDimension, Field(discriminator="type")]


DIMENSIONS: dict[str, type[Strict]] = {
    "float": FloatDimension,
    "int": IntDimension,
    "categorical": CategoricalDimension,
}

_MOST_STEPS = 1e15  # Optuna divides with 28 decimal digits, and a float distinguishes no more
_NEVER = (
    "kind",
    "name",
    "target",
    "sha256",
    "trainable",
    "seed",
    "epochs",
    "precision",
)  # keys of a section that cannot be searched


def check_dimension(name: str, dimension: Dimension, sections: Sequence[Strict]) -> None:
    """Raise ValueError (one line) unless every value of the dimension is a valid one and the baseline lies in it.

    `sections`: the model and the training, in that order, of which `name` must be a key (by its path).
    """
    where = f"search_space.{name}"
    searchable = [key for section in sections for key in keys_of(section) if _may_vary(key)]
    if name not in searchable:
        raise ValueError(f"{where}: not a key that can be searched; {nearest(name, searchable)}")
    if isinstance(dimension, CategoricalDimension):
        probes: Sequence[Any] = dimension.choices
        known: dict[Any, Scalar] = {}
        for choice in probes:
            if (same := known.get(_meaning(choice))) is not None:
                what = "is given twice" if str(same) == str(choice) else f"means the same as {same!r}"
                raise ValueError(f"{where}.choices: {choice!r} {what}; remove one")
            known[_meaning(choice)] = choice
    else:
        low, high = probes = dimension.bounds
        if low > high:
            raise ValueError(f"{where}: low {low:g} is above high {high:g}; swap them")
        if dimension.log and low <= 0:
            raise ValueError(f"{where}: a log scale needs low > 0, got {low:g}")
        if dimension.log and dimension.step not in (None, 1):
            raise ValueError(f"{where}: log and step cannot be combined; remove one")
    section = next(section for section in sections if name in keys_of(section))
    if isinstance(dimension, FloatDimension) and type(value_at(section, name)) is int:
        raise ValueError(f"{where}: {name} is a whole number; use type int")
    for probe in probes:
        try:
            type(section).model_validate(with_value(section.model_dump(), name, probe))
        except ValidationError as error:
            raise ValueError(f"{where}: {name} = {probe!r} is not allowed: {error.errors()[0]['msg']}") from error
    _check_baseline_inside(where, join_plus(value_at(section, name)), dimension)


def _may_vary(key: str) -> bool:
    """Whether a key may be searched; any name may be an argument of the user's own network."""
    return key.startswith("args.") or key.rpartition(".")[2] not in _NEVER


def _meaning(choice: Scalar) -> tuple[str, Any]:
    """A key equal for choices of one meaning: 32, 32.0 and '32' have one, and `flip+crop` and `crop+flip`."""
    if isinstance(choice, bool):
        return "bool", choice
    try:
        return "number", float(choice)
    except ValueError:
        return "text", tuple(sorted(str(choice).split("+")))


def fitted(dimension: Dimension, value: Scalar) -> Scalar | None:
    """The value of the dimension that means the same as `value`; None for a value outside."""
    if isinstance(dimension, CategoricalDimension):
        return next((choice for choice in dimension.choices if _meaning(choice) == _meaning(value)), None)
    low, high = dimension.bounds
    if isinstance(value, bool | str) or not low <= value <= high:
        return None
    steps = (value - low) / dimension.step if dimension.step else 0.0
    if not math.isclose(steps, round(steps), abs_tol=1e-9):
        return None
    return int(value) if isinstance(dimension, IntDimension) else float(value)


def _check_baseline_inside(where: str, value: Any, dimension: Dimension) -> None:
    if isinstance(dimension, CategoricalDimension):
        if value not in dimension.choices:
            raise ValueError(
                f"{where}: the starting value {value!r} is not among the choices {list(dimension.choices)}"
            )
        return
    low, high = dimension.bounds
    if isinstance(value, str):
        raise ValueError(f"{where}: the starting value {value!r} is no number; use type categorical")
    if not low <= value <= high:
        bound = "high" if value > high else "low"
        raise ValueError(
            f"{where}: the starting value {value!r} lies outside {low:g} to {high:g}; widen it with "
            f"--set {where}.{bound}={value!r}, or start inside"
        )
    steps = (value - low) / dimension.step if dimension.step else 0
    if dimension.step and (high - low) / dimension.step > _MOST_STEPS:
        raise ValueError(f"{where}: step {dimension.step:g} is too small to count with; give a larger one")
    if not math.isclose(steps, round(steps), abs_tol=1e-9):
        raise ValueError(f"{where}: the starting value {value!r} is not low + a multiple of step {dimension.step:g}")

"""Configurations of a search space: which dimensions are active in one, how many there are, and all of them."""

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from cifake_ray.experiment.space import CategoricalDimension, Dimension, FloatDimension, IntDimension

Space = Mapping[str, Dimension]


def parents_first(space: Space) -> list[str]:
    """The names, each after the names in its `when`. Raises ValueError when some names wait for each other."""
    ordered: list[str] = []
    while len(ordered) < len(space):
        ready = [name for name in space if name not in ordered and set(space[name].when) <= set(ordered)]
        if not ready:
            waiting = ", ".join(name for name in space if name not in ordered)
            raise ValueError(f"search_space: {waiting} wait for each other by `when`; remove one of them")
        ordered += ready
    return ordered


def is_active(dimension: Dimension, params: Mapping[str, Any]) -> bool:
    """Whether a configuration with these values has the dimension; `params` lacks inactive dimensions."""
    return all(name in params and params[name] in values for name, values in dimension.when.items())


def active_params(space: Space, params: Mapping[str, Any]) -> dict[str, Any]:
    """The active ones of `params`, in the order of the space."""
    kept: dict[str, Any] = {}
    for name in parents_first(space):
        if name in params and is_active(space[name], kept):
            kept[name] = params[name]
    return {name: kept[name] for name in space if name in kept}


def is_whole(space: Space, params: Mapping[str, Any]) -> bool:
    """Whether the dimensions that are active under these values have a value, and no others."""
    return params.keys() == {name for name in space if is_active(space[name], params)}


def check_conditions(space: Space) -> None:
    """Raise ValueError (one line) unless every `when` names other, categorical dimensions and their choices."""
    for name, dimension in space.items():
        for parent, values in dimension.when.items():
            where, deciding = f"search_space.{name}.when", space.get(parent)
            if not isinstance(deciding, CategoricalDimension):
                kind = f"of type {deciding.type}" if deciding else "not searched"
                raise ValueError(f"{where}: {parent} is {kind}; only a categorical dimension of search_space decides")
            if unknown := [value for value in values if value not in deciding.choices]:
                raise ValueError(
                    f"{where}: {unknown[0]!r} is not among the choices of {parent}: {list(deciding.choices)}"
                )
    parents_first(space)


def dimension_values(dimension: Dimension) -> list[Any] | None:
    """The values of a discrete dimension, None for a continuous one."""
    match dimension:
        case CategoricalDimension(choices=choices):
            return list(choices)
        case IntDimension(low=low, high=high, step=step):
            return list(range(low, high + 1, step))
        case FloatDimension(low=low, high=high, step=float(step)):
            return [min(low + i * step, high) for i in range(math.floor((high - low) / step + 1e-9) + 1)]
        case FloatDimension(low=low, high=high) if low == high:
            return [low]
    return None


def count_values(dimension: Dimension) -> float:
    """How many values a dimension has, without listing them; infinite for a continuous one."""
    match dimension:
        case CategoricalDimension(choices=choices):
            return len(choices)
        case IntDimension(low=low, high=high, step=step):
            return (high - low) // step + 1
        case FloatDimension(low=low, high=high) if low == high:
            return 1
        case FloatDimension(low=low, high=high, step=float(step)):
            steps = (high - low) / step
            return math.floor(steps + 1e-9) + 1 if math.isfinite(steps) else math.inf
    return math.inf


def count_configurations(space: Space) -> float:
    """How many configurations the space holds; infinite with a continuous dimension."""
    parents = {parent for dimension in space.values() for parent in dimension.when}

    def count(names: list[str], params: dict[str, Any]) -> float:
        if not names:
            return 1
        name, *others = names
        if not is_active(space[name], params):
            return count(others, params)
        if name in parents:  # a categorical dimension: of choices that decide alike, one is followed
            alike: dict[tuple[bool, ...], list[Any]] = {}
            for value in dimension_values(space[name]) or ():
                decided = tuple(value in other.when[name] for other in space.values() if name in other.when)
                alike.setdefault(decided, []).append(value)
            return sum(len(values) * count(others, params | {name: values[0]}) for values in alike.values())
        return count_values(space[name]) * count(others, params)

    return count(parents_first(space), {})


def configurations_of(space: Space, names: Collection[str]) -> Iterator[dict[str, Any]]:
    """Every combination of the values of these discrete dimensions and of the dimensions that decide over these."""
    needed: set[str] = set()
    waiting = [name for name in names if name in space]
    while waiting:
        needed.add(name := waiting.pop())
        waiting += set(space[name].when) - needed
    return all_configurations({name: space[name] for name in space if name in needed})


def all_configurations(space: Space) -> Iterator[dict[str, Any]]:
    """Every configuration of a finite space, with its active dimensions."""

    def complete(names: list[str], params: dict[str, Any]) -> Iterator[dict[str, Any]]:
        if not names:
            yield params
            return
        name, *others = names
        if not is_active(space[name], params):
            yield from complete(others, params)
            return
        for value in dimension_values(space[name]) or ():
            yield from complete(others, params | {name: value})

    return complete(parents_first(space), {})

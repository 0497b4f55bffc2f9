"""Keys of a section by their path: `lr`, `backbones.0.image_size` in a section of a list, `args.width` in a mapping."""

from collections.abc import Mapping
from typing import Any

from cifake_ray.experiment.values import Scalar, Strict


def keys_of(section: Strict) -> list[str]:
    """The path of every value of the section, in its order; a list of sections has the paths of each section.

    A mapping has the paths of its single values.
    """
    found: list[str] = []
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, tuple) and value and all(isinstance(one, Strict) for one in value):
            found += [f"{name}.{at}.{key}" for at, one in enumerate(value) for key in keys_of(one)]
        elif isinstance(value, Mapping):
            found += [f"{name}.{key}" for key, one in value.items() if isinstance(one, Scalar)]
        else:
            found.append(name)
    return found


def value_at(section: Any, path: str) -> Any:
    """The value of a path that the section has."""
    for step in path.split("."):
        if isinstance(section, Mapping):
            section = section[step]
        else:
            section = section[int(step)] if isinstance(section, list | tuple) else getattr(section, step)
    return section


def with_value(tree: Any, path: str, value: Any) -> Any:
    """A copy of a section's values (mappings and lists) with the value of a path replaced."""
    if not path:
        return value
    step, _, rest = path.partition(".")
    if isinstance(tree, Mapping):
        return {**tree, step: with_value(tree.get(step), rest, value)}
    at = int(step)
    return (*tree[:at], with_value(tree[at], rest, value), *tree[at + 1 :])

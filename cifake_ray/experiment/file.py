"""An experiment as a YAML file: loading, overriding, saving; every complaint is one line."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cifake_ray.errors import InputError, nearest
from cifake_ray.experiment.model import MODELS
from cifake_ray.experiment.schema import Experiment
from cifake_ray.experiment.search import Data, Resources, Search
from cifake_ray.experiment.space import DIMENSIONS
from cifake_ray.experiment.training import Training
from cifake_ray.experiment.values import Strict

_TAGS = {*MODELS, *DIMENSIONS, "literal['auto']", "constrained-int"}


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as people write it: `1e-4` is a number, and a key given twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep=deep)


_Loader.add_implicit_resolver(  # PyYAML's own pattern wants a dot and a signed exponent, so reads 1e-4 as text
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*\.?[\d_]*|\.\d[\d_]*)[eE][-+]?\d+$"),
    list("-+0123456789."),
)


def parse_yaml(text: str, where: str) -> Any:
    """The YAML value in `text`; raises InputError naming `where` and the line."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{where}{line}: not valid YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{where}: not valid YAML: {' '.join(str(error).split())}") from error


def load_experiment(path: Path, overrides: Iterable[str] = ()) -> Experiment:
    """The experiment in the file, with `key.path=value` overrides applied in order.

    Raises InputError: missing file, bad YAML, unknown key (with the nearest valid one), wrong type, impossible space.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise InputError(
            f"{path}: cannot be read ({reason}); `cifake-ray spaces` lists the experiments that ship with the program"
        ) from error
    tree = parse_yaml(text, str(path))
    if not isinstance(tree, dict):
        raise InputError(f"{path}: expected keys (name, model, training, …), found {type(tree).__name__}")
    return validate_experiment(override(tree, overrides), str(path))


def override(tree: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """`tree` with each `a.b=value` (value in YAML) set. Raises InputError for a setting without `=`."""
    tree = json.loads(json.dumps(tree))
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"--set {setting}: expected key=value, such as training.epochs=3")
        *parents, leaf = key.strip().split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
            if not isinstance(node, dict):
                raise InputError(f"--set {setting}: {parent} holds a value, not keys")
        node[leaf] = parse_yaml(text, f"--set {setting}")
    return tree


def validate_experiment(tree: Mapping[str, Any], where: str) -> Experiment:
    """The validated experiment, or InputError: one line with `where`, the key, what is wrong, the nearest valid key."""
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        first, *others = error.errors()
        more = f" (and {len(others)} more)" if others else ""
        raise InputError(f"{where}: {_explain(first)}{more}") from error


def check_study(experiment: Experiment, name: str, *, searching: bool = True) -> None:
    """Raise InputError when there is nothing to search (unless `searching` is False), or `name` is no study's name."""
    if searching and not experiment.search_space:
        raise InputError(
            f"{experiment.name}: search_space is empty, so there is nothing to tune; name a dimension, or train the "
            "experiment's own values with `cifake-ray train`"
        )
    validate_experiment(experiment.model_dump(mode="json", by_alias=True) | {"name": name}, "--name")


def save_experiment(experiment: Experiment) -> str:
    """The resolved experiment as YAML text, every key with its value."""
    return yaml.safe_dump(experiment.model_dump(mode="json", by_alias=True), sort_keys=False, width=120)


def _explain(error: Any) -> str:
    """One pydantic error as `key: what is wrong; how to mend it`."""
    location = [str(part) for part in error["loc"] if part not in _TAGS]
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return f"{key}: unknown key{nearest(location[-1], _fields_at(error['loc'][:-1]))}"
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return message if not key else f"{key}: {message}"
    if error["type"] == "missing":
        return f"{key}: this key is missing"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        return f"{key}: {context['discriminator']} is {context['tag']!r}; expected {context['expected_tags']}"
    if error["type"] == "union_tag_not_found":
        return f"{key}: {error['ctx']['discriminator']} is missing"
    shown = "" if isinstance(error["input"], dict) else f", found {error['input']!r}"
    return f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}"


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The valid keys of the section that a pydantic error location points to."""
    tag = str(location[-1]) if location else ""
    sections: dict[str, type[Strict]] = {
        "training": Training,
        "search": Search,
        "resources": Resources,
        "data": Data,
        **MODELS,
        **DIMENSIONS,
    }
    section: type[Strict] = sections.get(tag, Experiment)
    return [field.alias or name for name, field in section.model_fields.items()]

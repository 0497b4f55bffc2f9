"""An experiment as a YAML file: loading, overriding, saving; every error is one line."""

import copy
import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cifake_ray.console import shortened
from cifake_ray.errors import InputError, nearest
from cifake_ray.experiment.model import BACKBONES, MODELS
from cifake_ray.experiment.own_file import read_own_file
from cifake_ray.experiment.schema import Experiment
from cifake_ray.experiment.search import Data, Labels, Neutral, Resources, Search
from cifake_ray.experiment.space import DIMENSIONS
from cifake_ray.experiment.training import Training
from cifake_ray.experiment.values import Strict
from cifake_ray.experiment.yaml_text import MOST_BYTES, parse_yaml

_EXPLAINED = 3  # faults of one file
_TAGS = {*MODELS, *DIMENSIONS, "literal['auto']", "constrained-int"}


def load_experiment(path: Path, overrides: Iterable[str] = (), *, images_named: bool = False) -> Experiment:
    """The experiment in the file, with `key.path=value` overrides applied in order.

    images_named: whether `data.source` must be given, by the file or an override. Raises InputError: missing file, bad
    YAML, unknown key (with the nearest valid one), wrong type, impossible space, no images named, no usable Python file
    of a model that names one.
    """
    tree, settings = _read(path), list(overrides)
    changed = override(tree, settings)
    data = changed.get("data")
    if images_named and not (isinstance(data, dict) and data.get("source")):
        raise InputError(
            f"{path.stem}: no images are named",
            "give --data FOLDER, set CIFAKE_RAY_DATA, or take --data sample (32 px) or sample-native (192 to 512 px), "
            "generated images whose results say nothing about any other",
        )
    if isinstance(data, dict) and data.get("source", "") is None:
        del data["source"]
    try:
        experiment = validate_experiment(changed, str(path), file=tree)
        check_sense(experiment, str(path))
    except InputError as error:
        raise InputError(error.what.replace(str(path), _blamed(tree, settings, path), 1), error.cure) from error
    return _with_own_file(experiment, path)


def _with_own_file(experiment: Experiment, path: Path) -> Experiment:
    """The experiment with the Python file that its model names, beside the experiment's file or in the current folder.

    Raises InputError as `read_own_file` does, and when the file is not the one that the experiment pins.
    """
    model = experiment.model
    if not model.own_file_path:
        return experiment
    named = Path(model.own_file_path).expanduser()
    beside = path.parent / named
    found = named if named.is_file() and not beside.exists() else beside
    if not found.exists():
        raise InputError(f"{path}: model.target: no file {found}", "name it as seen from the experiment's folder")
    attached = model.with_file(read_own_file(found))
    if model.own_file_sha256 not in (None, attached.own_file_sha256):
        raise InputError(
            f"{path}: model.sha256: {found} has SHA-256 {attached.own_file_sha256}, not {model.own_file_sha256}",
            "remove the key to take the file as it is",
        )
    return experiment.model_copy(update={"model": attached})


def read_text(path: Path) -> str:
    """The text of an experiment's file. Raises InputError: missing, no regular file, not UTF-8."""
    try:
        if path.exists() and not path.is_file():
            raise InputError(
                f"{path}: cannot be read (no regular file)", "name a YAML file, or one that `cifake-ray spaces` lists"
            )
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        text = data.decode("utf-8-sig")
        if "\0" in text:  # UTF-16 without its mark
            raise InputError(f"{path}: not UTF-8 text", "save it as UTF-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text", "save it as UTF-8") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(
            f"{path}: cannot be read ({reason})", "`cifake-ray spaces` lists the experiments that ship with the program"
        ) from error
    return text


def _read(path: Path) -> dict[str, Any]:
    """The YAML mapping in an experiment's file. Raises InputError."""
    tree = parse_yaml(read_text(path), str(path))
    if not isinstance(tree, dict):
        found = "nothing" if tree is None else "a list" if isinstance(tree, list) else "one value"
        raise InputError(f"{path}: {found} at the top", "expected keys (name, model, training, …)")
    return tree


def _blamed(tree: dict[str, Any], settings: list[str], path: Path) -> str:
    """The place of the fault: the one setting without which the experiment is valid, else the file."""
    for at, setting in enumerate(settings):
        try:
            check_sense(
                validate_experiment(override(tree, [*settings[:at], *settings[at + 1 :]]), str(path)), str(path)
            )
        except InputError:
            continue
        return f"--set {shortened(setting, 80)}"
    return str(path)


def check_sense(experiment: Experiment, where: str) -> None:
    """Raise InputError for values that are each valid and senseless together; called for new studies alone."""
    search, epochs = experiment.search, experiment.training.epochs
    if search.scheduler != "none" and search.grace_epochs > epochs:
        raise InputError(
            f"{where}: search.grace_epochs: {search.grace_epochs} is more than training.epochs, {epochs}", "lower it"
        )
    if search.time_budget_s is not None and search.time_budget_s < 1:
        raise InputError(f"{where}: search.time_budget_s: less than a second, {search.time_budget_s:g}", "give more")
    if search.target is not None and (why := search.metric.impossible(search.target)):
        raise InputError(f"{where}: search.target: {why}, found {search.target:g}")


def override(tree: dict[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """`tree` with each `a.b=value` (value in YAML) set. Raises InputError for a setting without `=`."""
    tree = copy.deepcopy(tree)
    for setting in settings:
        key, equals, text = setting.partition("=")
        where = f"--set {shortened(setting, 80)}"
        if not equals or not key.strip():
            raise InputError(f"{where}: no setting", "expected key=value, such as training.epochs=3")
        *parents, leaf = _steps(tree, key.strip())
        node: Any = tree
        for parent in parents:
            at = _place(node, parent, where)
            node = node.setdefault(at, {}) if isinstance(node, dict) else node[at]
            if not isinstance(node, dict | list):
                raise InputError(f"{where}: {parent} holds a value, not keys", "remove the last key")
        node[_place(node, leaf, where)] = parse_yaml(text, where)
    return tree


def _steps(tree: dict[str, Any], key: str) -> list[str]:
    """The keys from the top down to `key`; a key that holds a dot, as `args.width`, is one where the tree has it."""
    parts, steps, node = key.split("."), list[str](), tree
    while parts:
        joined = [".".join(parts[:count]) for count in range(len(parts), 0, -1)]
        steps.append(next((step for step in joined if step in node), parts[0]))
        parts = parts[steps[-1].count(".") + 1 :]
        below = node.get(steps[-1])
        node = below if isinstance(below, dict) else {}
    return steps


def _place(node: dict[str, Any] | list[Any], step: str, where: str) -> Any:
    """The key in a mapping, or the number in a list. Raises InputError for a number that the list has not."""
    if isinstance(node, dict):
        return step
    if not (step.isdecimal() and int(step) < len(node)):
        raise InputError(f"{where}: {step} is no place in a list of {len(node)}", f"name 0 to {len(node) - 1}")
    return int(step)


def validate_experiment(tree: Mapping[str, Any], where: str, file: Mapping[str, Any] | None = None) -> Experiment:
    """The validated experiment, or InputError: one line with `where`, the key, what is wrong, the nearest valid key.

    file: what the file holds, where settings were applied to `tree`. Three faults at most are explained.
    """
    try:
        return Experiment.model_validate(tree)
    except ValidationError as error:
        found = sorted(
            error.errors(), key=lambda one: one["type"] != "extra_forbidden"
        )  # a typo explains what is missing
        faults = [_explain(one, tree if file is None else file) for one in found[:_EXPLAINED]]
        if len(found) > _EXPLAINED:
            faults.append(InputError(f"and {len(found) - _EXPLAINED} more"))
        *others, last = faults
        raise InputError(f"{where}: {'; '.join([*map(str, others), last.what])}", last.cure) from error


def check_study(experiment: Experiment, name: str, *, searching: bool = True) -> None:
    """Raise InputError when there is nothing to search (unless `searching` is False), or `name` is no study's name."""
    if searching and not experiment.search_space:
        raise InputError(
            f"{experiment.name}: search_space is empty, so there is nothing to tune",
            "name a dimension, or train the experiment's own values with `cifake-ray train`",
        )
    validate_experiment(experiment.model_dump(mode="json", by_alias=True) | {"name": name}, "--name")


def save_experiment(experiment: Experiment) -> str:
    """The resolved experiment as YAML text, every key with its value."""
    return yaml.safe_dump(experiment.model_dump(mode="json", by_alias=True), sort_keys=False, width=120)


def _explain(error: Any, file: Mapping[str, Any]) -> InputError:
    """One pydantic error, whose text begins with the key; `file`: the keys typed in the file."""
    location = [str(part) for part in error["loc"] if part not in _TAGS]
    typed = _mapping_at(file, location[:-1])
    key = ".".join(location)
    if error["type"] == "extra_forbidden":
        return InputError(f"{key}: unknown key", _nearest_key(location, error["loc"], typed))
    if error["type"] == "string_pattern_mismatch" and location == ["name"]:
        return InputError(
            f"{error['input']!r} is no name", "use letters, digits, dot, dash and underscore, a letter or digit first"
        )
    if error["type"] == "value_error":
        message = str(error["ctx"]["error"])
        return InputError(message if not key else f"{key}: {message}")
    if error["type"] == "missing":
        return InputError(f"{key}: this key is missing")
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        return InputError(
            f"{key}: {context['discriminator']} is {context['tag']!r}", f"expected {context['expected_tags']}"
        )
    if error["type"] == "union_tag_not_found":
        return InputError(f"{key}: {error['ctx']['discriminator']} is missing")
    shown = "" if isinstance(error["input"], dict) else f", found {shortened(repr(error['input']), 100)}"
    if error["type"] in ("dict_type", "model_attributes_type"):
        return InputError(f"{key}: expected keys with values{shown}")
    return InputError(f"{key}: {error['msg'][0].lower()}{error['msg'][1:]}{shown}")


def _mapping_at(tree: Mapping[str, Any], location: list[str]) -> Mapping[str, Any]:
    for step in location:
        tree = tree.get(step, {})
        if not isinstance(tree, Mapping):
            return {}
    return tree


def _nearest_key(location: list[str], path: tuple[Any, ...], typed: Mapping[str, Any]) -> str:
    """`did you mean training.epochs?` where another section has the key, or one like it; else the nearest key here.

    typed: the keys beside this one in the file, which are no candidates; for a setting every key is a candidate.
    """
    key, here = location[-1], _fields_at(path[:-1])
    here = [field for field in here if key not in typed or field not in typed]
    sections = [("model", kind) for kind in MODELS.values()]
    sections += [("data", Data), ("resources", Resources), ("search", Search), ("training", Training)]
    homes = {key: f"{name}.{key}" for name, section in sections for key in _keys_of(section)}
    if len(location) == 1:
        homes |= {field: field for field in here}
        close = difflib.get_close_matches(key, homes, n=1, cutoff=0.6)
    else:
        close = [key] if len(location) == 2 and key in homes and location[0] != "search_space" else []
    return f"did you mean {homes[close[0]]}?" if close else nearest(key, here)


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The valid keys of the section that a pydantic error location points to."""
    tag = str(location[-1]) if location else ""
    sections: dict[str, type[Strict]] = {
        "training": Training,
        "search": Search,
        "resources": Resources,
        "data": Data,
        "labels": Labels,
        "neutral": Neutral,
        **(BACKBONES if "backbones" in location else MODELS),
        **DIMENSIONS,
    }
    return _keys_of(sections.get(tag, Experiment))


def _keys_of(section: type[Strict]) -> list[str]:
    """The keys of a section, as they stand in YAML."""
    return [field.alias or name for name, field in section.model_fields.items()]

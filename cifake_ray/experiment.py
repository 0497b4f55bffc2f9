"""The experiment: one YAML file as validated values. Loading, overriding, saving; every complaint is one line."""

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from cifake_ray.errors import InputError

Stage = Literal["stem", "layer1", "layer2", "layer3", "layer4"]
Pool = Literal["mean", "std"]
Scalar = bool | int | float | str
Metric = Literal["val_accuracy", "val_loss"]
STAGES: tuple[str, ...] = get_args(Stage)


def _split_plus(value: Any) -> Any:
    """`mean+std` is `[mean, std]`: how a choice of several is written in a search space and in trials.csv."""
    if not isinstance(value, str):
        return value
    return value.split("+") if value else []


def join_plus(value: Any) -> Any:
    """`[mean, std]` as `mean+std`; other values as they are."""
    return "+".join(map(str, value)) if isinstance(value, list | tuple) else value


StageList = Annotated[tuple[Stage, ...], BeforeValidator(_split_plus), Field(min_length=1)]
PoolList = Annotated[tuple[Pool, ...], BeforeValidator(_split_plus), Field(min_length=1)]
Augmentations = Annotated[tuple[Literal["flip", "crop"], ...], BeforeValidator(_split_plus)]


class Strict(BaseModel):
    """Immutable; a key it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class CnnModel(Strict):
    """Two convolutional layers (3x3, batch norm, ReLU, 2x2 max pooling), then dense layers of `head_width` and 1."""

    kind: Literal["cnn"] = "cnn"
    head_width: int = Field(64, ge=1, le=8192)
    channels: int = Field(32, ge=1, le=1024)
    dropout: float = Field(0.0, ge=0, lt=1)


class ResNet50Model(Strict):
    """Frozen torchvision ResNet50, pooled after `stages`, and a dense head of `head_width` on those features."""

    kind: Literal["resnet50"] = "resnet50"
    weights: str = "imagenet-v1"
    image_size: int = Field(64, ge=32, le=224)
    stages: StageList = ("stem", "layer1", "layer2")
    pool: PoolList = ("mean", "std")
    head_width: int = Field(256, ge=1, le=8192)
    dropout: float = Field(0.0, ge=0, lt=1)


Model = Annotated[CnnModel | ResNet50Model, Field(discriminator="kind")]


class Training(Strict):
    """How a trial is trained. `lr_schedule: cosine` falls from `lr` to zero over `epochs`."""

    epochs: int = Field(10, ge=1, le=10_000)
    lr: float = Field(1e-3, gt=0, le=10)
    batch_size: int = Field(32, ge=2, le=65_536)
    weight_decay: float = Field(0.0, ge=0, le=10)
    optimizer: Literal["adam", "adamw"] = "adamw"
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    augment: Augmentations = ()
    lr_schedule: Literal["cosine", "constant"] = "cosine"
    seed: int = Field(0, ge=0, lt=2**31)


class FloatDimension(Strict):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.low, self.high


class IntDimension(Strict):
    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @property
    def bounds(self) -> tuple[int, int]:
        return self.low, self.high


class CategoricalDimension(Strict):
    """`choices` are scalars; a choice that is a list is written, stored and shown joined by `+`."""

    type: Literal["categorical"]
    choices: tuple[Annotated[Scalar, BeforeValidator(join_plus)], ...] = Field(min_length=1)


Dimension = Annotated[FloatDimension | IntDimension | CategoricalDimension, Field(discriminator="type")]


class Search(Strict):
    """How configurations are proposed, stopped early and counted. `winner_seeds: 0` retrains no winner."""

    sampler: Literal["tpe", "random"] = "tpe"
    trials: int = Field(20, ge=1)
    scheduler: Literal["asha", "none"] = "asha"
    metric: Metric = "val_accuracy"
    grace_epochs: int = Field(1, ge=1)
    reduction_factor: int = Field(3, ge=2)
    time_budget_s: float | None = Field(None, gt=0)
    target: float | None = None
    winner_seeds: int = Field(3, ge=0, le=100)


class Resources(Strict):
    """What one trial takes. `workers_per_trial: 0` trains inside the trial's own process (Ray Train's local mode)."""

    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0, ge=0)
    workers_per_trial: int = Field(0, ge=0)
    max_concurrent: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"


class Data(Strict):
    """Which images, and how the train part is split. `limit`: a stratified subset of so many train images."""

    source: str = "sample"
    val_fraction: float = Field(0.2, gt=0, lt=1)
    split_seed: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=20)


class Experiment(Strict):
    """One YAML file. `model` and `training` hold the baseline (trial 0); `search_space` says which keys vary."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    model: Model
    training: Training = Training()
    search_space: dict[str, Dimension] = {}
    search: Search = Search()
    resources: Resources = Resources()
    data: Data = Data()

    @model_validator(mode="after")
    def _check_search_space(self) -> "Experiment":
        for name, dimension in self.search_space.items():
            _check_dimension(self, name, dimension)
        if self.model.kind != "cnn" and self.training.augment:
            raise ValueError(
                "training.augment: a frozen backbone trains on cached features, so images cannot be augmented; "
                "remove the key or set it to []"
            )
        return self

    def with_params(self, params: Mapping[str, Scalar], **training: Any) -> "Experiment":
        """This experiment with the search-space names in `params` (and further keys of `training`) set; validated."""
        tree = self.model_dump(by_alias=True)
        for name, value in params.items():
            tree[_section_of(self, name)][name] = value
        tree["training"] |= training
        return Experiment.model_validate(tree | {"search_space": {}})

    def baseline_params(self) -> dict[str, Scalar]:
        """The experiment's own value of every searched name: what trial 0 runs."""
        return {name: join_plus(getattr(getattr(self, _section_of(self, name)), name)) for name in self.search_space}


def _section_of(experiment: Experiment, name: str) -> Literal["model", "training"]:
    return "model" if name in type(experiment.model).model_fields else "training"


def _searchable(experiment: Experiment) -> list[str]:
    keys = [*type(experiment.model).model_fields, *Training.model_fields]
    return [key for key in keys if key not in ("kind", "seed", "epochs", "precision")]


def _check_dimension(experiment: Experiment, name: str, dimension: Dimension) -> None:
    """Raise ValueError (one line) unless every value of the dimension is a valid one and the baseline lies in it."""
    where = f"search_space.{name}"
    if name not in _searchable(experiment):
        raise ValueError(f"{where}: not a key that can be searched{_nearest(name, _searchable(experiment))}")
    if isinstance(dimension, CategoricalDimension):
        probes: Sequence[Any] = dimension.choices
        if len(set(map(repr, probes))) < len(probes):
            raise ValueError(f"{where}.choices: a choice is given twice")
    else:
        low, high = probes = dimension.bounds
        if low > high:
            raise ValueError(f"{where}: low {low:g} is above high {high:g}; swap them")
        if dimension.log and low <= 0:
            raise ValueError(f"{where}: a log scale needs low > 0, got {low:g}")
        if dimension.log and dimension.step not in (None, 1):
            raise ValueError(f"{where}: log and step cannot be combined; remove one")
    section = getattr(experiment, _section_of(experiment, name))
    if isinstance(dimension, FloatDimension) and type(getattr(section, name)) is int:
        raise ValueError(f"{where}: {name} is a whole number; use type int")
    for probe in probes:
        try:
            type(section).model_validate(section.model_dump() | {name: probe})
        except ValidationError as error:
            raise ValueError(f"{where}: {name} = {probe!r} is not allowed: {error.errors()[0]['msg']}") from error
    _check_baseline_inside(where, join_plus(getattr(section, name)), dimension)


def _check_baseline_inside(where: str, value: Any, dimension: Dimension) -> None:
    if isinstance(dimension, CategoricalDimension):
        if value not in dimension.choices:
            raise ValueError(
                f"{where}: the starting value {value!r} is not among the choices {list(dimension.choices)}"
            )
        return
    low, high = dimension.bounds
    if not low <= value <= high:
        raise ValueError(f"{where}: the starting value {value!r} lies outside {low:g} to {high:g}")
    steps = (value - low) / dimension.step if dimension.step else 0
    if not math.isclose(steps, round(steps), abs_tol=1e-9):
        raise ValueError(f"{where}: the starting value {value!r} is not low + a multiple of step {dimension.step:g}")


# --- loading -----------------------------------------------------------------------------------------------------


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
        return f"{key}: unknown key{_nearest(location[-1], _fields_at(error['loc'][:-1]))}"
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


_MODELS: dict[str, type[Strict]] = {"cnn": CnnModel, "resnet50": ResNet50Model}
_DIMENSIONS: dict[str, type[Strict]] = {
    "float": FloatDimension,
    "int": IntDimension,
    "categorical": CategoricalDimension,
}
_TAGS = {*_MODELS, *_DIMENSIONS, "literal['auto']", "constrained-int"}
MODEL_KINDS = tuple(_MODELS)


def _fields_at(location: tuple[Any, ...]) -> list[str]:
    """The valid keys of the section that a pydantic error location points to."""
    tag = str(location[-1]) if location else ""
    sections: dict[str, type[Strict]] = {
        "training": Training,
        "search": Search,
        "resources": Resources,
        "data": Data,
        **_MODELS,
        **_DIMENSIONS,
    }
    section: type[Strict] = sections.get(tag, Experiment)
    return [field.alias or name for name, field in section.model_fields.items()]


def _nearest(name: str, valid: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; valid keys: {', '.join(valid)}"

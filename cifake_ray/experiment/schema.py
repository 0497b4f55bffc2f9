"""The experiment as one validated value."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from cifake_ray.experiment.configurations import active_params, check_conditions, dimension_values
from cifake_ray.experiment.keys import keys_of, value_at, with_value
from cifake_ray.experiment.model import Model
from cifake_ray.experiment.pairs import check_augmentation, check_disjoint, check_pairs
from cifake_ray.experiment.search import Data, Resources, Search
from cifake_ray.experiment.space import Dimension, check_dimension
from cifake_ray.experiment.training import Training
from cifake_ray.experiment.values import Scalar, Strict, join_plus


def _flat(space: Any, path: str = "") -> Any:
    """`{args: {width: …}}` as `{args.width: …}`: `--set search_space.args.width=…` makes the former."""
    if not isinstance(space, dict):
        return space
    found: dict[Any, Any] = {}
    for key, value in space.items():
        inner = isinstance(value, dict) and "type" not in value and value
        nested = inner and all(isinstance(one, dict) for one in value.values())
        found |= _flat(value, f"{path}{key}.") if nested else {f"{path}{key}" if path else key: value}
    return found


class Experiment(Strict):
    """One YAML file. `model` and `training` hold the baseline (trial 0); `search_space` says which keys vary."""

    schema_version: Literal[1] = Field(1, alias="schema")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    model: Model
    training: Training = Training()
    search_space: Annotated[dict[str, Dimension], BeforeValidator(_flat)] = Field(default_factory=dict)
    search: Search = Search()
    resources: Resources = Resources()
    data: Data = Data()

    @model_validator(mode="after")
    def _check_search_space(self) -> "Experiment":
        for name, dimension in self.search_space.items():
            check_dimension(name, dimension, (self.model, self.training))
        check_conditions(self.search_space)
        check_pairs(self.search, self.search_space, self.model, self.training)
        check_augmentation(self.search_space, self.model, self.training, self.data)
        check_disjoint(self.data)
        return self

    def with_params(self, params: Mapping[str, Scalar], **training: Any) -> "Experiment":
        """This experiment with the search-space names in `params` (and further keys of `training`) set; validated."""
        tree = self.model_dump(by_alias=True)
        for name, value in params.items():
            section = _section_of(self, name)
            tree[section] = with_value(tree[section], name, value)
        tree["training"] |= training
        if params.get("copies") == 0:  # a trial without the augmented copies that others have
            tree["training"]["augment"] = ()
        found, file = Experiment.model_validate(tree | {"search_space": {}}), self.model.own_file
        return found if file is None else found.model_copy(update={"model": found.model.with_file(file)})

    def baseline_params(self) -> dict[str, Scalar]:
        """The experiment's own value of every searched name that is active under these values: trial 0."""
        own = {name: join_plus(value_at(getattr(self, _section_of(self, name)), name)) for name in self.search_space}
        return active_params(self.search_space, own)

    def model_values(self, key: str) -> list[Any]:
        """The baseline's value of a key of `model` (by its path), then every other value that its dimension gives."""
        dimension = self.search_space.get(key)
        others = (dimension and dimension_values(dimension)) or ()
        return list(dict.fromkeys([value_at(self.model, key), *others]))

    def weight_names(self) -> list[str]:
        """Names or files of the pretrained weights that a trial may start from: the baseline's, then those searched."""
        searched = [name for name in self.search_space if name.rpartition(".")[2] == "weights"]
        others = [value for name in searched for value in self.model_values(name)]
        return list(dict.fromkeys(map(str, [*self.model.weight_names, *others])))

    def trial_fields(self) -> list[str]:
        """The columns of trials.csv by this experiment: the searched names, the second objective, the metric.

        Every run has columns for validation accuracy and loss.
        """
        second, metric = self.search.second_objective, self.search.metric
        own = [] if metric.in_every_table else [str(metric)]
        return [*self.search_space, *([second] if second else []), *own]


def _section_of(experiment: Experiment, name: str) -> Literal["model", "training"]:
    return "model" if name in keys_of(experiment.model) else "training"

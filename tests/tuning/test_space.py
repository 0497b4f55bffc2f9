"""The search space as Optuna sees it, and how its configurations are counted."""

import math
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from cifake_ray.experiment import all_configurations, count_configurations
from cifake_ray.tuning.space import build_sampler, distributions, suggest_params

from .conftest import experiment_of

CHOICES = {"type": "categorical", "choices": [32, 64, 128]}


@pytest.mark.parametrize(
    ("name", "dimension", "expected", "size"),
    [
        ("lr", {"type": "float", "low": 1e-4, "high": 1e-2}, FloatDistribution(1e-4, 1e-2), math.inf),
        ("lr", {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
         FloatDistribution(1e-4, 1e-2, log=True), math.inf),
        ("lr", {"type": "float", "low": 1e-3, "high": 1e-3}, FloatDistribution(1e-3, 1e-3), 1),
        ("dropout", {"type": "float", "low": 0.0, "high": 0.6, "step": 0.1}, FloatDistribution(0.0, 0.6, step=0.1), 7),
        ("head_width", {"type": "int", "low": 32, "high": 512, "log": True}, IntDistribution(32, 512, log=True), 481),
        ("head_width", {"type": "int", "low": 64, "high": 256, "step": 64}, IntDistribution(64, 256, step=64), 4),
        ("batch_size", CHOICES, CategoricalDistribution((32, 64, 128)), 3),
        ("augment", {"type": "categorical", "choices": [["flip"], ["flip", "crop"]]},
         CategoricalDistribution(("flip", "flip+crop")), 2),
    ],
)  # fmt: skip
def test_every_type_of_dimension_is_optunas_and_counted(
    name: str, dimension: dict[str, Any], expected: optuna.distributions.BaseDistribution, size: float
) -> None:
    experiment = experiment_of({name: dimension}, training={"augment": ["flip"]})
    assert distributions(experiment) == {name: expected}
    assert count_configurations(experiment.search_space) == size
    trial = optuna.create_study().ask()
    suggest_params(trial, experiment.search_space)
    assert trial.distributions == {name: expected}


def test_every_configuration_of_a_finite_space_comes_once_and_as_optuna_may_propose() -> None:
    widths = {"type": "int", "low": 32, "high": 96, "step": 32}
    dropouts = {"type": "float", "low": 0.0, "high": 0.3, "step": 0.1}
    experiment = experiment_of({"batch_size": CHOICES, "head_width": widths, "dropout": dropouts})
    space = distributions(experiment)
    found = list(all_configurations(experiment.search_space))
    assert len(found) == count_configurations(experiment.search_space) == 3 * 3 * 4
    assert len({tuple(params.values()) for params in found}) == 36
    study = optuna.create_study()
    for params in found:
        study.enqueue_trial(params)
        assert all(space[name]._contains(space[name].to_internal_repr(value)) for name, value in params.items())
        assert suggest_params(study.ask(), experiment.search_space) == params


def test_a_space_with_a_continuous_dimension_is_infinite() -> None:
    assert count_configurations(experiment_of().search_space) == math.inf


def proposals(sampler: optuna.samplers.BaseSampler, count: int = 3) -> list[dict[str, Any]]:
    study = optuna.create_study(sampler=sampler)
    return [study.ask(distributions(experiment_of())).params for _ in range(count)]


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_the_sampler_follows_from_the_seed_and_how_many_trials_there_were(kind: str) -> None:
    experiment = experiment_of(search={"sampler": kind}, training={"seed": 3})
    first = proposals(build_sampler(experiment, 0))
    assert proposals(build_sampler(experiment, 0)) == first
    assert proposals(build_sampler(experiment, 5)) != first
    assert proposals(build_sampler(experiment_of(search={"sampler": kind}), 3)) == first
    assert isinstance(build_sampler(experiment, 0), optuna.samplers.RandomSampler) == (kind == "random")


WHEN = {
    "weight_decay": {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}},
    "optimizer": {"type": "categorical", "choices": ["adam", "adamw"]},
}


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_dimension_is_proposed_only_where_it_is_active(kind: str) -> None:
    experiment = experiment_of(WHEN, search={"sampler": kind})
    study = optuna.create_study(sampler=build_sampler(experiment, 0))
    for number in range(12):
        trial = study.ask()
        params = suggest_params(trial, experiment.search_space)
        assert trial.params == params
        assert ("weight_decay" in params) == (params["optimizer"] == "adamw")
        study.tell(trial, 0.5 + 0.01 * number)
    assert {trial.params["optimizer"] for trial in study.trials} == {"adam", "adamw"}

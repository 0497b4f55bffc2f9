"""Dimensions that only some configurations have, and pairs of settings that cannot work together."""

import math
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import (
    Experiment,
    active_params,
    all_configurations,
    count_configurations,
    parse_yaml,
    save_experiment,
    validate_experiment,
)

OPTIMIZER = {"type": "categorical", "choices": ["adam", "adamw"]}
AUGMENT = {"type": "categorical", "choices": [[], ["flip"], ["flip", "crop"]]}
DECAY = {"type": "float", "low": 0.0, "high": 0.1, "step": 0.05, "when": {"optimizer": "adamw"}}
WIDTH = {"type": "int", "low": 32, "high": 96, "step": 32}
LR = {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}


def experiment_of(space: dict[str, Any], **sections: Any) -> Experiment:
    tree: dict[str, Any] = {"name": "x", "model": {"kind": "cnn"}, "training": {"epochs": 9, "optimizer": "adamw"}}
    for name, section in sections.items():
        tree[name] = tree.get(name, {}) | section
    return validate_experiment(tree | {"search_space": space}, "x.yaml")


def test_a_dimension_is_active_only_with_its_parents_value_and_else_keeps_its_own() -> None:
    experiment = experiment_of({"weight_decay": DECAY, "optimizer": OPTIMIZER}, training={"weight_decay": 0.05})
    assert experiment.baseline_params() == {"weight_decay": 0.05, "optimizer": "adamw"}
    assert experiment.with_params({"optimizer": "adam"}).training.weight_decay == 0.05
    without = experiment_of(
        {"weight_decay": DECAY, "optimizer": OPTIMIZER}, training={"optimizer": "adam", "weight_decay": 0.05}
    )
    assert without.baseline_params() == {"optimizer": "adam"}


def test_values_that_are_not_active_are_no_part_of_a_configuration_in_any_order() -> None:
    space = experiment_of({"weight_decay": DECAY, "optimizer": OPTIMIZER}).search_space
    assert active_params(space, {"weight_decay": 0.1, "optimizer": "adamw"}) == {
        "weight_decay": 0.1,
        "optimizer": "adamw",
    }
    assert active_params(space, {"weight_decay": 0.1, "optimizer": "adam"}) == {"optimizer": "adam"}


def test_a_child_of_a_dimension_that_is_not_active_is_not_active() -> None:
    chain = {
        "augment": AUGMENT | {"when": {"optimizer": ["adamw"]}},
        "head_width": WIDTH | {"when": {"augment": [["flip", "crop"], ["flip"]]}},
        "optimizer": OPTIMIZER,
    }
    space = experiment_of(chain, training={"augment": ["flip"]}).search_space
    own = {"augment": "flip", "head_width": 64, "optimizer": "adam"}
    assert active_params(space, own) == {"optimizer": "adam"}
    found = list(all_configurations(space))
    assert len(found) == count_configurations(space) == 1 + 1 + 2 * 3
    assert len({tuple(sorted(params.items())) for params in found}) == 8
    assert {len(params) for params in found} == {1, 2, 3}


def test_several_parents_must_all_have_one_of_their_values() -> None:
    child = WIDTH | {"when": {"optimizer": "adamw", "batch_size": [32, 64]}}
    batch = {"type": "categorical", "choices": [32, 64, 128]}
    space = experiment_of({"head_width": child, "optimizer": OPTIMIZER, "batch_size": batch}).search_space
    assert count_configurations(space) == 2 * 3 + 4
    assert sum("head_width" in params for params in all_configurations(space)) == 6


def test_a_space_with_a_continuous_dimension_that_is_sometimes_active_is_infinite() -> None:
    continuous = {"type": "float", "low": 0.0, "high": 0.1, "when": {"optimizer": "adamw"}}
    assert count_configurations(experiment_of({"weight_decay": continuous, "optimizer": OPTIMIZER}).search_space) == (
        math.inf
    )


def test_conditions_survive_saving() -> None:
    experiment = experiment_of({"weight_decay": DECAY, "optimizer": OPTIMIZER})
    assert validate_experiment(parse_yaml(save_experiment(experiment), "saved"), "saved") == experiment


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"weight_decay": DECAY}, r"weight_decay\.when: optimizer is not searched; only a categorical"),
        ({"weight_decay": DECAY | {"when": {"head_width": 64}}, "head_width": WIDTH}, "head_width is of type int"),
        ({"weight_decay": DECAY | {"when": {"optimizer": "sgd"}}, "optimizer": OPTIMIZER}, "'sgd' is not among"),
        ({"weight_decay": DECAY | {"when": {"optimizer": []}}, "optimizer": OPTIMIZER}, "at least 1 item"),
        ({"optimizer": OPTIMIZER | {"when": {"augment": "flip"}}, "augment": AUGMENT | {"when": {"optimizer": "adam"}}},
         "optimizer, augment wait for each other by `when`"),
        ({"optimizer": OPTIMIZER | {"when": {"optimizer": "adam"}}}, "wait for each other"),
    ],
)  # fmt: skip
def test_a_condition_that_cannot_hold_is_one_line(space: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as refused:
        experiment_of(space, training={"augment": ["flip"]})
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("x.yaml: search_space")


CONDITIONAL = {"weight_decay": DECAY, "optimizer": OPTIMIZER, "lr": LR, "head_width": WIDTH}
PLAIN = {"lr": LR, "head_width": WIDTH, "optimizer": OPTIMIZER}


@pytest.mark.parametrize(
    ("search", "space", "words"),
    [
        ({"sampler": "cmaes"}, {"optimizer": OPTIMIZER}, "cmaes needs two dimensions of type float or int, got 0"),
        ({"sampler": "cmaes"}, {"lr": LR, "optimizer": OPTIMIZER}, "got 1"),
        ({"sampler": "cmaes"}, CONDITIONAL, r"cmaes cannot model dimensions with `when` \(weight_decay\)"),
        ({"sampler": "gp"}, CONDITIONAL, "gp cannot model"),
        ({"sampler": "qmc"}, CONDITIONAL, "qmc cannot model"),
        ({"sampler": "nsga2"}, CONDITIONAL, "nsga2 cannot model"),
        ({"sampler": "cmaes", "second_objective": "parameters"}, PLAIN, "cmaes has one objective"),
        ({"sampler": "grid"}, PLAIN, r"search_space\.lr: a grid needs values to count; give it step"),
        ({"sampler": "grid"}, {"head_width": {"type": "int", "low": 1, "high": 8192},
                               "batch_size": {"type": "int", "low": 2, "high": 1000}}, "grid has 8,183,808 config"),
        ({"scheduler": "hyperband", "grace_epochs": 4}, PLAIN, "hyperband needs training.epochs of at least .* = 12"),
    ],
)  # fmt: skip
def test_a_pair_that_cannot_work_is_refused_by_name_with_a_way_out(
    search: dict[str, Any], space: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError, match=words) as refused:
        experiment_of(space, search=search)
    assert "\n" not in str(refused.value)
    assert "use " in str(refused.value) or "give " in str(refused.value)


def test_the_time_of_a_head_without_its_backbone_is_no_objective() -> None:
    frozen = {"kind": "resnet50"}
    with pytest.raises(InputError, match="leaves out its backbone"):
        experiment_of({"lr": LR}, model=frozen, search={"second_objective": "inference_ms"})
    assert experiment_of({"lr": LR}, model=frozen, search={"second_objective": "parameters"}).trial_fields() == [
        "lr", "parameters",
    ]  # fmt: skip


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "qmc", "nsga2", "random"])
def test_what_one_trained_configuration_needs_is_checked_of_a_search_only(sampler: str) -> None:
    experiment = experiment_of(PLAIN, search={"sampler": sampler, "scheduler": "hyperband"})
    assert experiment.with_params({"lr": 2e-3}, epochs=1).training.lr == 2e-3

"""Configurations of a search space are counted without being listed, and listed without repetition."""

import math

from cifake_ray.experiment import CategoricalDimension, FloatDimension, IntDimension, all_configurations, is_whole
from cifake_ray.experiment.configurations import count_configurations, count_values, dimension_values

SPACE = {
    "optimizer": CategoricalDimension(type="categorical", choices=("adam", "adamw", "sgd")),
    "batch_size": IntDimension(type="int", low=16, high=64, step=16),
    "weight_decay": FloatDimension(type="float", low=0.0, high=0.2, step=0.1, when={"optimizer": ("adamw",)}),
}


def test_the_count_is_the_number_of_configurations_that_are_listed() -> None:
    listed = list(all_configurations(SPACE))
    assert count_configurations(SPACE) == len(listed) == 2 * 4 + 4 * 3
    assert len({tuple(sorted(params.items())) for params in listed}) == len(listed)
    assert all(is_whole(SPACE, params) for params in listed)


def test_steps_end_at_the_upper_bound_and_not_beyond() -> None:
    dimension = FloatDimension(type="float", low=0.0, high=0.3, step=0.1)
    values = dimension_values(dimension) or []
    assert len(values) == count_values(dimension) == 4
    assert values[-1] == 0.3


def test_a_continuous_dimension_makes_a_space_infinite() -> None:
    space = SPACE | {"lr": FloatDimension(type="float", low=1e-4, high=1e-2, log=True)}
    assert math.isinf(count_configurations(space))
    assert dimension_values(space["lr"]) is None

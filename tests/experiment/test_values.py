"""Values of an experiment: lists joined by `+`, views of an image, no value of another type."""

import pytest
from pydantic import TypeAdapter, ValidationError

from cifake_ray.experiment.values import PoolList, View, ViewList, join_plus


def test_a_list_joined_by_plus_is_the_list() -> None:
    pools = TypeAdapter(PoolList)
    assert pools.validate_python("mean+std") == pools.validate_python(["mean", "std"]) == ("mean", "std")
    assert join_plus(("mean", "std")) == "mean+std"
    assert join_plus(3) == 3


@pytest.mark.parametrize("value", ["", [], "mean+mean", "median"])
def test_no_value_a_repeated_and_an_unknown_one_are_refused(value: object) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(PoolList).validate_python(value)


@pytest.mark.parametrize("view", ["identity", "flip", "left2", "flip-up1", "left8-down3"])
def test_views_are_the_image_its_mirror_and_shifts(view: str) -> None:
    assert TypeAdapter(ViewList).validate_python(["identity", view] if view != "identity" else [view])


@pytest.mark.parametrize("view", ["left9", "left1-right1", "flip-flip", "identity-flip", "turn", ""])
def test_a_view_that_undoes_itself_or_leaves_the_image_is_refused(view: str) -> None:
    with pytest.raises(ValidationError, match="is no view"):
        TypeAdapter(View).validate_python(view)

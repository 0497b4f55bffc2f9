"""Degraded copies of some pictures: the same squares that judging degrades, made once."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.corruptions import corruptions, light_corruptions
from cifake_ray.data.degraded import degraded_path, hold_degraded
from cifake_ray.data.squares import open_squares
from cifake_ray.data.streaming import squares_of
from cifake_ray.data.transform import Transform, native_transform
from cifake_ray.storage.cache import summarise_cache

from ..native import write_native

ROWS = np.array([3, 4, 11, 30])


@pytest.mark.parametrize("fit", ["crop", "resize", "tiles"])
def test_each_degradation_of_each_picture_stands_in_order(tmp_path: Path, fit: str) -> None:
    part = load_images(write_native(tmp_path / "native")).train
    transform = native_transform(fit, 24)  # type: ignore[arg-type]
    light = light_corruptions(24)
    held = open_squares(hold_degraded(part, ROWS, transform, light)).array
    plain = squares_of(part, ROWS, transform)
    assert held.shape == (3 * len(ROWS), *transform.shape)
    for number, one in enumerate(light):
        assert np.array_equal(held[number * len(ROWS) : (number + 1) * len(ROWS)], one(plain)), one.name


def test_pictures_of_one_small_size_are_degraded_as_they_are_held() -> None:
    part = load_images("sample", limit=100).train
    held = open_squares(hold_degraded(part, ROWS, Transform("resize", 32), light_corruptions(32))).array
    assert np.array_equal(held[: len(ROWS)], light_corruptions(32)[0](part.images[ROWS]))


def test_squares_are_made_once_and_others_for_other_rows_or_degradations() -> None:
    part = load_images("sample", limit=100).train
    transform, light, seen = Transform("resize", 32), light_corruptions(32), []
    progress: Callable[[int, int], None] = lambda done, total: seen.append((done, total))  # noqa: E731
    first = hold_degraded(part, ROWS, transform, light, progress)
    assert seen == [(4, 4)]
    assert hold_degraded(part, ROWS, transform, light, progress) == first
    assert seen == [(4, 4)]
    assert degraded_path(part, ROWS[:3], transform, light) != first
    assert degraded_path(part, ROWS, transform, corruptions(32)[:3]) != first
    (row,) = [one for one in summarise_cache() if one["kind"] == "squares"]
    assert (row["source"], row["px"]) == ("sample", "resize-32, degraded")

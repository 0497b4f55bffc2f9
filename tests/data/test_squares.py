"""Squares in one array a transform: made once, the same pixels as decoded one by one, one line on a full disk."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.decoding import workers
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.squares import hold, open_squares, squares_bytes, squares_path
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError

from .test_neutral import native

Write = Callable[..., Path]
TRANSFORMS = [
    Transform("resize", 32, reduced=True), Transform("crop", 48), Transform("tiles", 40),
    Transform("repeat", 96), Transform("crop", 32, room=64),
]  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS, ids=lambda one: one.name)
def test_array_holds_what_each_picture_gives(transform: Transform, write_folder: Write) -> None:
    train = load_images(str(write_folder(native()))).train
    held = hold(train, transform)
    assert isinstance(held.pixels, ArrayPixels)
    assert np.array_equal(held.images, train.under(transform).images)
    assert held.images.nbytes == squares_bytes(len(train), transform)
    opened = open_squares(squares_path(train, transform))
    assert np.array_equal(opened.array, held.images)


def test_processes_write_the_same_array(write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    train = load_images(str(write_folder(native(20)))).train
    monkeypatch.setattr(workers, "_NATIVE_BATCH", 4)
    monkeypatch.setattr(workers, "cores", lambda: 2)
    done: list[int] = []
    held = hold(train, TRANSFORMS[1], lambda count, _: done.append(count))
    assert np.array_equal(held.images, train.under(TRANSFORMS[1]).images)
    assert done[-1] == len(train) == 40


def test_no_picture_is_decoded_a_second_time(write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    train = load_images(str(write_folder(native()))).train
    hold(train, TRANSFORMS[1])
    monkeypatch.setattr("cifake_ray.data.squares.write_squares", lambda *_: pytest.fail("decoded again"))
    hold(train, TRANSFORMS[1])


def test_full_disk_is_one_line_and_leaves_nothing(
    write_folder: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = load_images(str(write_folder(native()))).train

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    for call in ("posix_fallocate", "pwrite"):
        monkeypatch.setattr(os, call, full)
        with pytest.raises(InputError, match=r"squares \(No space left on device\); free some space"):
            hold(train, TRANSFORMS[1])
        monkeypatch.undo()
        monkeypatch.setenv("CIFAKE_RAY_CACHE", str(cache))
        assert list(cache.glob("squares/.*")) == []
    assert len(hold(train, TRANSFORMS[1]).images) == len(train)

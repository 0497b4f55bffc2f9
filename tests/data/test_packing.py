"""Which sources are packed, and what happens when the disk is full meanwhile."""

import errno
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.build import KIND
from cifake_ray.data.packing import MOST_SIDE, common_side
from cifake_ray.errors import InputError

from .conftest import Files
from .test_neutral import native

Write = Callable[..., Path]


def test_nearly_all_pictures_of_one_small_square_are_held() -> None:
    assert common_side([(32, 32)] * 9 + [(50, 40)]) == 32
    assert common_side([(32, 32)] * 8 + [(50, 40)] * 2) is None
    assert common_side([(MOST_SIDE + 1, MOST_SIDE + 1)] * 10) is None
    assert common_side(np.zeros((3, 2), np.int32)) is None


def test_full_disk_while_packing_is_one_line_and_leaves_nothing(
    write_folder: Write, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path_open = str(write_folder(native())), Path.open

    class Full(io.BytesIO):
        def write(self, data: object) -> int:  # noqa: ARG002
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, mode="r", *rest, **more: (
        Full() if self.name.startswith(".staged-") else path_open(self, mode, *rest, **more)
    ))  # fmt: skip
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\); free some space"):
        load_images(source)
    monkeypatch.undo()
    assert [file.name for file in cache.glob(f"{KIND}/*") if not file.name.endswith(".lock")] == []


def test_a_set_refused_after_packing_leaves_no_file(files: Files, write_folder: Write, cache: Path) -> None:
    bad = native()
    bad["train", "FAKE"] |= {f"bad{at}.png": b"broken" for at in range(5)}
    with pytest.raises(InputError, match="more than 1 %"):
        load_images(str(write_folder(bad)))
    assert list(cache.glob("*/.staged-*")) == []
    assert load_images(str(write_folder(files, "other"))).side == 32

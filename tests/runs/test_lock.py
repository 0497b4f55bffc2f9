"""One writer at a time in a run's folder."""

from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.runs.lock import locked


def test_a_second_writer_is_refused_until_the_first_one_is_done(tmp_path: Path) -> None:
    with (
        locked(tmp_path, "a", InputError("taken")),
        pytest.raises(InputError, match=r"^taken$"),
        locked(tmp_path, "a", InputError("taken")),
    ):
        pass
    with locked(tmp_path, "a", InputError("taken")):
        pass


def test_a_folder_that_is_none_is_told_with_its_cure(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = pytest.raises(InputError, match=r"run a: cannot be written .*; make it writable")
    with told, locked(tmp_path / "file", "run a", InputError("taken")):
        pass

"""`blend`: the command parses, names what is wrong in one line, and prints the closing lines."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Command, cifake_ray

__all__ = ["cifake_ray"]  # a fixture


def test_a_run_that_is_not_there_is_named(
    cifake_ray: Command, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cifake_ray("blend", "cnn", "resnet50", "--name", "mix", "--storage", tmp_path) == 2
    assert "cnn: no such run" in capfd.readouterr().err


def test_a_name_is_needed(cifake_ray: Command, capfd: pytest.CaptureFixture[str]) -> None:
    assert cifake_ray("blend", "cnn", "resnet50") == 2
    assert "--name" in capfd.readouterr().err

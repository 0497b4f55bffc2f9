"""val_predictions.npz: what is stored is read, and what is damaged or another file is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.errors import InputError
from cifake_ray.runs.predictions import ValidationLogits, packed, read_validation, validation_fault, write_validation
from cifake_ray.runs.run import Run

LOGITS = np.array([3.5, -np.inf, np.inf, -0.25], np.float32)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run whose test.json notes its validation logits."""
    run = Run(tmp_path)
    found = ValidationLogits(
        np.array([0, 1, 0, 1], np.uint8),
        np.array(["a.png", "b.png", "ü.png", "d.png"]),
        {"generator": np.array(["sd14", "", "midjourney", ""]), "split_test": np.array(["x"] * 4)},
        {"tuned": {1: LOGITS, 2: -LOGITS}, "baseline": {1: LOGITS * 2}},
    )
    digest = write_validation(run, found)
    run.test_file.write_text(json.dumps({"validation_sha256": digest}))
    return run


def test_what_is_stored_is_read(run: Run) -> None:
    found = read_validation(run)
    assert found is not None
    assert found.labels.tolist() == [0, 1, 0, 1]
    assert found.names.tolist() == ["a.png", "b.png", "ü.png", "d.png"]
    assert {name: values.tolist() for name, values in found.groups.items()} == {
        "generator": ["sd14", "", "midjourney", ""], "split_test": ["x"] * 4
    }  # fmt: skip
    assert {role: sorted(seeds) for role, seeds in found.logits.items()} == {"tuned": [1, 2], "baseline": [1]}
    assert np.array_equal(found.logits["tuned"][2], -LOGITS)
    assert found.logits["tuned"][1].dtype == np.float32
    assert validation_fault(run) is None


def test_runs_of_earlier_versions_have_none_and_lack_nothing(tmp_path: Path) -> None:
    (tmp_path / "test.json").write_text("{}")
    assert read_validation(Run(tmp_path)) is None
    assert validation_fault(Run(tmp_path)) is None


def test_a_noted_file_that_is_gone_cut_or_changed_is_a_fault(run: Run) -> None:
    data = run.validation_file.read_bytes()
    for damaged in (data[:100], data[:-1] + bytes([data[-1] ^ 1]), b""):
        run.validation_file.write_bytes(damaged)
        with pytest.raises(InputError, match=r"val_predictions\.npz: damaged \(not the file that test\.json notes\)"):
            read_validation(run)
        assert "damaged" in (validation_fault(run) or "")
    run.validation_file.unlink()
    assert (validation_fault(run) or "").endswith("val_predictions.npz: missing")


GOOD = {"labels": np.array([0, 1], np.uint8), "names": np.array(["a", "b"]), "tuned_1": np.zeros(2, np.float32)}
WRONG: dict[str, dict[str, np.ndarray]] = {
    "neither 0": {"labels": np.array([0, 2], np.uint8)},
    "another length": {"tuned_1": np.zeros(3, np.float32)},
    "no numbers": {"tuned_1": np.array([0, np.nan], np.float32)},
    "names has": {"names": np.array(["a"])},
    "values_x": {"group_x": np.zeros(2, np.uint8)},
}


@pytest.mark.parametrize("words", WRONG)
def test_arrays_that_contradict_each_other_are_refused(tmp_path: Path, words: str) -> None:
    run = Run(tmp_path)
    run.validation_file.write_bytes(packed(GOOD))
    assert read_validation(run) is not None
    run.validation_file.write_bytes(packed(GOOD | WRONG[words]))
    with pytest.raises(InputError, match=words) as refused:
        read_validation(run)
    assert "\n" not in str(refused.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.validation_file.write_bytes(packed(GOOD | {"tuned_1": np.array([None, 1], dtype=object)}))
    with pytest.raises(InputError, match="allow_pickle"):
        read_validation(run)


def test_the_same_arrays_are_the_same_bytes() -> None:
    assert packed(GOOD) == packed(dict(GOOD))

"""A run's images are found wherever they are now: they are known by their fingerprint, not by their place."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cifake_ray.data import absolute_source, check_images_here, load_images, readable_source, run_images
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.files import write_json
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.storage.cache import clear_entries

from ..conftest import Files, encode, picture

Write = Callable[..., Path]


def made_with(source: Path | str, storage: Path) -> tuple[Run, Experiment]:
    """A run on these images, as a study begins it."""
    experiment = Experiment.model_validate({"name": "r", "model": {"kind": "cnn"}, "data": {"source": str(source)}})
    run = create_run(storage / "runs", "r", experiment)
    write_json(run.environment_file, {"data": {"fingerprint": load_images(str(source)).fingerprint}})
    return run, experiment


@pytest.fixture
def moved(files: Files, write_folder: Write, tmp_path: Path) -> tuple[Run, Experiment, Path]:
    """A run, its experiment, and where its images have been moved to."""
    before = write_folder(files, "before")
    run, experiment = made_with(before, tmp_path)
    return run, experiment, before.rename(tmp_path / "after")


@pytest.fixture
def other(files: Files, write_folder: Write) -> Path:
    """Images of the same names, one of them another picture."""
    changed = files | {("train", "REAL"): files["train", "REAL"] | {"0003.jpg": encode(picture(77))}}
    return write_folder(changed, "other")


def test_moved_images_are_found_at_data_and_at_the_environment_variable(
    moved: tuple[Run, Experiment, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment, after = moved
    clear_entries()
    assert run_images(run, experiment, str(after)).source == str(after)
    clear_entries()
    monkeypatch.setenv("CIFAKE_RAY_DATA", str(after))
    check_images_here(run, experiment)
    assert run_images(run, experiment).source == str(after)
    assert readable_source(run, experiment) == str(after)


def test_the_same_images_in_another_layout_are_the_same_data(
    moved: tuple[Run, Experiment, Path], files: Files, write_parquet: Write
) -> None:
    run, experiment, _ = moved
    parquet = write_parquet(files)
    assert run_images(run, experiment, str(parquet)).kind == "parquet"


def test_decoded_images_are_used_without_their_source(moved: tuple[Run, Experiment, Path], other: Path) -> None:
    run, experiment, _ = moved
    load_images(str(other))
    check_images_here(run, experiment)
    images = run_images(run, experiment)
    assert images.source == experiment.data.source
    assert len(images.train) == 120
    (images.path / "train_images.npy").write_bytes(b"damaged")
    with pytest.raises(InputError, match="are not here"):
        run_images(run, experiment)


def test_another_set_is_refused_naming_both_fingerprints(
    moved: tuple[Run, Experiment, Path], other: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment, after = moved
    mine, theirs = (load_images(str(place)).fingerprint[:12] for place in (after, other))
    with pytest.raises(InputError, match=rf"{other}: .*{theirs}.* not those of .*{mine}"):
        run_images(run, experiment, str(other))
    other.rename(experiment.data.source)
    with pytest.raises(InputError, match=rf"{theirs}.* not those of .*{mine}"):
        run_images(run, experiment)
    clear_entries()
    Path(experiment.data.source).rename(other)
    monkeypatch.setenv("CIFAKE_RAY_DATA", str(other))
    with pytest.raises(InputError, match=rf"{theirs}.* not those of .*{mine}"):
        run_images(run, experiment)


def test_a_recorded_place_comes_before_the_environment(
    files: Files, write_folder: Write, other: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment = made_with(write_folder(files), tmp_path)
    monkeypatch.setenv("CIFAKE_RAY_DATA", str(other))
    assert run_images(run, experiment).source == experiment.data.source == readable_source(run, experiment)


def test_a_folder_without_images_at_the_recorded_place_is_not_the_end(
    moved: tuple[Run, Experiment, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, experiment, after = moved
    Path(experiment.data.source).mkdir()
    clear_entries()
    with pytest.raises(InputError, match="no folder FAKE or REAL"):
        run_images(run, experiment)
    monkeypatch.setenv("CIFAKE_RAY_DATA", str(after))
    assert run_images(run, experiment).source == str(after)


def test_images_that_are_nowhere_are_asked_for_in_one_line(moved: tuple[Run, Experiment, Path]) -> None:
    run, experiment, _ = moved
    clear_entries()
    for find in (check_images_here, run_images, readable_source):
        with pytest.raises(InputError, match=r"this study's images \(.*before.*\) are not here; give them as --data"):
            find(run, experiment)


def test_a_place_is_the_same_from_every_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert absolute_source("data/cifake") == str(tmp_path / "data" / "cifake")
    assert absolute_source("~/cifake") == str(tmp_path / "home" / "cifake")
    assert [absolute_source(kept) for kept in ("sample", "s3://b/cifake")] == ["sample", "s3://b/cifake"]

"""What a study puts on the disk is computed before, and refused where it does not fit; nothing is written then."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import load_images
from cifake_ray.data.squares import hold
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.disk import beyond_pictures, check_disk, disk_use
from cifake_ray.tuning.dry_run import rehearse
from cifake_ray.tuning.request import StudyRequest
from cifake_ray.tuning.study_inputs import gather_inputs


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def source(tmp_path: Path) -> str:
    random = np.random.default_rng(0)
    for part in ("train", "test"):
        for label in ("FAKE", "REAL"):
            folder = tmp_path / "native" / part / label
            folder.mkdir(parents=True)
            for at in range(12):
                pixels = random.integers(0, 256, (90, 120, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{at}.jpg")
    return str(tmp_path / "native")


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the free bytes of every disk."""

    def set_free(free: float) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(1 << 40, 0, int(free)))

    return set_free


def experiment_on(source: str, space: dict[str, Any] | None = None, **model: Any) -> Experiment:
    tree = {"name": "x", "model": {"kind": "cnn", **model}, "data": {"source": source}, "search_space": space or {}}
    return Experiment.model_validate(tree)


def test_arrays_of_every_searched_transform_count(source: str) -> None:
    images = load_images(source)
    one = disk_use(experiment_on(source, fit="crop", image_size=64), images, [])
    assert (one.squares, one.features) == (24 * 64 * 64 * 3, 0)
    assert one.pictures == sum(file.stat().st_size for file in Path(source).rglob("*.jpg"))
    sizes = {"image_size": {"type": "categorical", "choices": [32, 64]}}
    both = disk_use(experiment_on(source, sizes, fit="crop"), images, [])
    assert both.squares == 24 * (64 * 64 + 32 * 32) * 3
    held = experiment_on("sample")
    assert disk_use(held, load_images("sample", limit=100), []).squares == 0


def test_study_that_does_not_fit_is_refused_before_a_picture_is_packed(
    source: str, left: Callable[[float], None], tmp_path: Path
) -> None:
    experiment = experiment_on(source, fit="crop", image_size=512)
    left((1 << 28) + 24 * 512 * 512 * 3)  # for the array, and not for the pictures
    with pytest.raises(InputError, match=r"need 0.0 GB and the disk of .* has 0.3 GB free; free some space"):
        gather_inputs(experiment)
    assert list((tmp_path / "cache").rglob("*.npy")) == []
    with pytest.raises(InputError, match="free some space"):
        rehearse(StudyRequest(experiment, str(tmp_path / "runs"), "x"))
    left(1 << 40)
    assert gather_inputs(experiment).images.side is None


def test_what_the_cache_has_needs_no_room(source: str, left: Callable[[float], None]) -> None:
    experiment = experiment_on(source, fit="crop", image_size=64)
    images = load_images(source)
    left(1 << 28)
    with pytest.raises(InputError, match="the arrays and features of this study"):
        check_disk(experiment, images, [])
    left(1 << 40)
    hold(images.train, Transform("crop", 64))
    left(0)
    check_disk(experiment, images, [])


def test_limit_counts(source: str) -> None:
    experiment = experiment_on(source, fit="crop", image_size=64)
    data = experiment.data.model_copy(update={"limit": 100})
    limited = experiment.model_copy(update={"data": data})
    counts = {"train": 1000, "test": 500}
    assert beyond_pictures(experiment, [], counts, held=False) == 1000 * 64 * 64 * 3
    assert beyond_pictures(limited, [], counts, held=False) == 100 * 64 * 64 * 3
    assert beyond_pictures(experiment, [], counts, held=True) == 0

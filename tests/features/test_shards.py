"""Shards run in threads or as Ray tasks, with the same results, and report their failures in one line."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import ray
import torch

from cifake_ray.errors import WorkError
from cifake_ray.features import FeatureSet, ensure_features, local_shards, ray_shards
from cifake_ray.features import shards as shards_module
from cifake_ray.features.shards import Extraction, Pass, _tasks_at_once
from cifake_ray.models.backbone import build_backbone
from cifake_ray.models.passes import FeatureSpec


def joined(features: FeatureSet, names: list[str]) -> np.ndarray:
    """These columns side by side."""
    return np.concatenate(features.columns(names), axis=1)


@pytest.fixture
def extraction(stem: FeatureSpec) -> Extraction:
    return Extraction((Pass(stem, build_backbone(stem.weights, "stem"), ("stem.mean", "stem.std")),))


@pytest.fixture
def damaged(extraction: Extraction) -> Extraction:
    """A backbone that yields NaN."""
    for parameter in extraction.passes[0].backbone.parameters():
        parameter.fill_(float("nan"))
    return extraction


def test_local_shards_leave_the_number_of_torch_threads_as_it_was(part: Any, extraction: Extraction) -> None:
    before = torch.get_num_threads()
    results = list(local_shards(part.pixels, [(0, 50), (50, 90)], extraction))
    assert sorted((result.start, len(result.passes[0]["stem.mean"])) for result in results) == [(0, 50), (50, 40)]
    assert torch.get_num_threads() == before


def test_local_shards_stop_when_the_caller_stops(part: Any, extraction: Extraction) -> None:
    shards = local_shards(part.pixels, [(start, start + 1) for start in range(200)], extraction)
    next(shards)
    shards.close()


def test_failure_of_a_shard_reaches_the_caller(part: Any, damaged: Extraction) -> None:
    with pytest.raises(WorkError, match="NaN"):
        list(local_shards(part.pixels, [(0, 10), (10, 20)], damaged))


@pytest.mark.usefixtures("ray_session")
def test_ray_tasks_give_the_same_features_as_this_process(
    part: Any, stem: FeatureSpec, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ensure_features(part, [stem], run_shards=ray_shards)[0]
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "other"))
    here = ensure_features(part, [stem])[0]
    assert (there.extracted, here.extracted) == (200, 200)
    assert there.cpu_seconds > 0
    np.testing.assert_allclose(
        joined(there, ["stem.mean", "stem.std"]).astype(float),
        joined(here, ["stem.mean", "stem.std"]).astype(float),
        atol=1e-3,
    )


class Stopped(Exception):
    pass


@pytest.mark.usefixtures("ray_session")
def test_an_extraction_on_ray_ends_when_it_is_told_to_and_keeps_what_it_has(part: Any, stem: FeatureSpec) -> None:
    done: list[int] = []

    def stop() -> None:
        if any(done):
            raise Stopped

    run = partial(ray_shards, check=stop)
    with pytest.raises(Stopped):
        ensure_features(part, [stem], run_shards=run, progress=lambda at, _: done.append(at))
    assert 0 < ensure_features(part, [stem])[0].extracted < 200


@pytest.mark.parametrize(("free", "seconds"), [(2.0, 0.0), (0.0, 0.3)])
def test_gpus_of_others_are_not_waited_for(free: float, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards_module, "_LEAVING_SECONDS", seconds)
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 4.0, "GPU": 2.0})
    monkeypatch.setattr(ray, "available_resources", lambda: {"CPU": 4.0, "GPU": free} if free else {"CPU": 4.0})
    assert shards_module._free_gpus() == free


@pytest.mark.usefixtures("ray_session")
def test_failure_on_a_ray_worker_is_one_line(part: Any, damaged: Extraction) -> None:
    with pytest.raises(WorkError) as failed:
        list(ray_shards(part.pixels, [(0, 10), (10, 20)], damaged))
    assert "NaN" in str(failed.value)
    assert "\n" not in str(failed.value)


@pytest.mark.parametrize(
    ("resources", "decoders", "tasks"),
    [
        ({"CPU": 4.0}, 0, {"cpu": 8}),
        ({"CPU": 16.0, "GPU": 2.0}, 0, {"cuda": 8, "cpu": 12}),  # four run on the GPUs, each with a CPU of its own
        ({"CPU": 2.0, "GPU": 1.0}, 0, {"cuda": 4, "cpu": 0}),
        ({"CPU": 4.0}, 6, {"cpu": 8}),
        ({"CPU": 32.0, "GPU": 2.0}, 6, {"cuda": 8, "cpu": 8}),  # each of the four decodes on six
    ],
)
def test_extraction_takes_gpus_and_the_cpus_that_they_leave(
    resources: dict[str, float], decoders: int, tasks: dict[str, int]
) -> None:
    assert _tasks_at_once(resources, decoders) == tasks

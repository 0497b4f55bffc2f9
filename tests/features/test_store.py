"""The frozen backbone sees each image once: whatever is killed, damaged, repeated or asked for later."""

import multiprocessing
import pickle
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifake_ray.data.pixels import Pixels
from cifake_ray.errors import InputError
from cifake_ray.experiment import Training
from cifake_ray.features import FeatureSet, ensure_features, local_shards
from cifake_ray.features.extraction import shard_bounds
from cifake_ray.features.places import pass_key
from cifake_ray.features.shards import Extraction, ShardResult
from cifake_ray.models.backbone import build_backbone
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weights import random_weights
from cifake_ray.storage import cache
from cifake_ray.training.copies import augmented_copy
from cifake_ray.training.extract import extract_shard


def joined(features: FeatureSet, names: Sequence[str]) -> np.ndarray:
    """These columns side by side."""
    return np.concatenate(features.columns(names), axis=1)


ALL = ["stem.mean", "stem.std", "layer1.mean", "layer1.std"]


class Recorder:
    """Runs shards here, counts how often each image went through the backbone, and can die after some of them."""

    def __init__(self, die_after: int | None = None) -> None:
        self.passes: Counter[int] = Counter()
        self.columns: tuple[str, ...] = ()
        self.die_after = die_after

    def __call__(
        self, pixels: Pixels, shards: Sequence[tuple[int, int]], extraction: Extraction
    ) -> Iterator[ShardResult]:
        self.columns = extraction.passes[0].columns
        for done, (start, stop) in enumerate(shards):
            if done == self.die_after:
                raise KeyboardInterrupt
            self.passes.update(range(start, stop))
            yield from local_shards(pixels, [(start, stop)], extraction)


def run(part: Any, spec: FeatureSpec, **options: Any) -> tuple[FeatureSet, Recorder]:
    recorder = Recorder(**options)
    return ensure_features(part, [spec], run_shards=recorder)[0], recorder


def flip_a_byte(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def cut_short(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def remove_note(file: Path) -> None:
    (file.parent / cache.META).unlink()


def spoil_note(file: Path) -> None:
    (file.parent / cache.META).write_text("{")


DAMAGES = [flip_a_byte, cut_short, remove_note, spoil_note, Path.unlink]


def test_features_are_those_of_the_backbone(part: Any, spec: FeatureSpec) -> None:
    features, recorder = run(part, spec)
    expected = extract_shard(part.images, build_backbone(spec.weights, "layer1"), spec, spec.columns)
    for name, array in expected.items():
        found = joined(features, [name])
        assert found.dtype == np.float16
        np.testing.assert_allclose(found.astype(float), array.astype(float), rtol=2e-3, atol=1e-3)
    assert recorder.passes == Counter(range(200))
    assert features.extracted == 200
    assert features.cpu_seconds > 0


def test_columns_come_in_the_order_asked_for(part: Any, spec: FeatureSpec) -> None:
    features, _ = run(part, spec)
    names = ["layer1.std", "layer1.mean", "stem.std", "stem.mean"]
    together = joined(features, names)
    pieces = [joined(features, [name]) for name in names]
    assert together.shape == (200, 640)
    np.testing.assert_array_equal(together, np.concatenate(pieces, axis=1))


def test_second_study_extracts_nothing(part: Any, spec: FeatureSpec) -> None:
    first, _ = run(part, spec)
    second, recorder = run(part, spec)
    assert (first.extracted, second.extracted) == (200, 0)
    assert not recorder.passes
    assert second.cpu_seconds == 0
    np.testing.assert_array_equal(joined(first, ["stem.mean"]), joined(second, ["stem.mean"]))


def test_shallower_pass_is_served_from_a_deeper_one(part: Any, spec: FeatureSpec, stem: FeatureSpec) -> None:
    run(part, spec)
    assert run(part, stem)[0].extracted == 0


def test_deeper_stage_asked_for_later_extracts_that_stage_alone(
    part: Any, spec: FeatureSpec, stem: FeatureSpec
) -> None:
    run(part, stem)
    features, recorder = run(part, spec)
    assert recorder.columns == ("layer1.mean", "layer1.std")
    assert recorder.passes == Counter(range(200))
    assert joined(features, ALL).shape == (200, 640)


def test_another_statistic_asked_for_later_is_extracted_alone(part: Any, stem: FeatureSpec) -> None:
    run(part, stem)
    features, recorder = run(part, replace(stem, taken=("stem.max",)))
    assert recorder.columns == ("stem.max",)
    assert joined(features, ["stem.max", "stem.mean"]).shape == (200, 128)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_entry_is_noticed_and_rebuilt_alone(part: Any, spec: FeatureSpec, damage: Any) -> None:
    features, _ = run(part, spec)
    before = joined(features, ALL)
    untouched = (features.entries["layer1.mean"] / "values.npy").stat().st_mtime_ns
    damage(features.entries["stem.mean"] / "values.npy")
    again, recorder = run(part, spec)
    assert recorder.columns == ("stem.mean",)
    assert again.extracted == 200
    np.testing.assert_array_equal(joined(again, ALL), before)
    assert (again.entries["layer1.mean"] / "values.npy").stat().st_mtime_ns == untouched


def test_killed_extraction_goes_on_where_it_stopped(part: Any, spec: FeatureSpec) -> None:
    first = Recorder(die_after=3)
    with pytest.raises(KeyboardInterrupt):
        ensure_features(part, [spec], run_shards=first)
    seen: list[tuple[int, int]] = []
    second = Recorder()
    (features,) = ensure_features(part, [spec], run_shards=second, progress=lambda *at: seen.append(at))
    assert features.extracted == 200 - 192
    assert first.passes + second.passes == Counter(range(200))
    assert seen == [(192, 200), (200, 200)]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_shard_of_a_killed_extraction_is_done_again(part: Any, stem: FeatureSpec, damage: Any) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(part, stem, die_after=2)
    damage(next((cache.cache_root() / "features").rglob("00000064/stem.mean.npy")))
    features, recorder = run(part, stem)
    assert sorted(recorder.passes) == list(range(64, 200))
    expected = extract_shard(part.images, build_backbone(stem.weights, "stem"), stem, ["stem.mean"])["stem.mean"]
    np.testing.assert_allclose(joined(features, ["stem.mean"]).astype(float), expected.astype(float), atol=1e-3)


def test_shards_are_gone_once_the_entries_are_there(part: Any, stem: FeatureSpec) -> None:
    run(part, stem)
    entries = [path for kind, path, _ in cache.list_entries() if kind == "features"]
    assert sorted(path.name.rpartition("-")[2] for path in entries) == ["stem.mean", "stem.std"]


def test_other_images_weights_size_or_view_are_other_features(part: Any, stem: FeatureSpec) -> None:
    run(part, stem)
    assert run(replace(part, fingerprint="another"), stem)[0].extracted == 200
    assert run(part, replace(stem, image_size=40))[0].extracted == 200
    assert run(part, replace(stem, view="flip"))[0].extracted == 200
    assert run(part, replace(stem, weights=random_weights("resnet50")))[0].extracted == 200


def test_feature_set_survives_the_way_to_another_process(part: Any, stem: FeatureSpec) -> None:
    features, _ = run(part, stem)
    copy = pickle.loads(pickle.dumps(features))
    np.testing.assert_array_equal(joined(copy, ["stem.std"]), joined(features, ["stem.std"]))
    assert len(pickle.dumps(features)) < 10_000


def test_stage_outside_the_set_and_a_cleared_cache_are_said(part: Any, stem: FeatureSpec) -> None:
    features, _ = run(part, stem)
    with pytest.raises(InputError, match=r"layer2\.mean.*goes up to stem"):
        joined(features, ["layer2.mean"])
    cache.clear_entries("features")
    with pytest.raises(InputError, match="gone from the cache"):
        joined(features, ["stem.mean"])


def test_full_disk_is_one_line(part: Any, stem: FeatureSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cifake_ray.features.extraction.write_entry", fail)
    with pytest.raises(InputError, match=r"No space left on device.*CIFAKE_RAY_CACHE"):
        run(part, stem)


def extract_at_once(part: Any, spec: FeatureSpec, barrier: Any, results: Any) -> None:
    barrier.wait(120)
    results.put(ensure_features(part, [spec])[0].extracted)


def test_two_studies_at_once_extract_each_image_once(part: Any, spec: FeatureSpec) -> None:
    context = multiprocessing.get_context("spawn")
    barrier, results = context.Barrier(2), context.Queue()
    other = context.Process(target=extract_at_once, args=(part, spec, barrier, results))
    other.start()
    extract_at_once(part, spec, barrier, results)
    assert sorted(results.get(timeout=180) for _ in range(2)) == [0, 200]
    other.join()


@pytest.mark.parametrize("size", [32, 64, 128, 224])
@pytest.mark.parametrize("count", [1, 63, 200, 5000, 100_000])
def test_shards_cover_every_image_once_and_stay_small(count: int, size: int) -> None:
    bounds = shard_bounds(count, size**2)
    assert [row for start, stop in bounds for row in range(start, stop)] == list(range(count))
    assert max(stop - start for start, stop in bounds) <= min(2000, 4_000_000 // size**2)


def copied(spec: FeatureSpec, number: int = 1, **training: Any) -> FeatureSpec:
    recipe = Training.model_validate({"augment": "blur+jpeg", "blur_sigma": 2.0, **training}).copy_recipe()
    return replace(spec, view=f"copy{number}/flip", recipe=recipe)


def test_an_augmented_copy_is_extracted_once_whatever_the_shards(part: Any, stem: FeatureSpec) -> None:
    features, recorder = run(part, copied(stem))
    assert recorder.passes == Counter(range(200))
    assert sum(1 for start, _ in shard_bounds(200, 32**2) if start) > 1  # shards begin within blocks of rows
    images = augmented_copy(torch.from_numpy(part.images), 0, 1, copied(stem).recipe)
    seen = replace(stem, view="flip")
    expected = extract_shard(images.numpy(), build_backbone(stem.weights, "stem"), seen, ["stem.mean"])["stem.mean"]
    found = joined(features, ["stem.mean"]).astype(float)
    np.testing.assert_allclose(found, expected.astype(float), rtol=2e-3, atol=1e-3)
    clean = joined(run(part, seen)[0], ["stem.mean"]).astype(float)
    assert np.abs(found - clean).mean() > 10 * np.abs(found - expected).mean()
    assert run(part, copied(stem, lr=0.5, epochs=3))[1].passes == Counter()  # neither has a part in the copies


@pytest.mark.parametrize("changed", [{"number": 2}, {"seed": 1}, {"blur_sigma": 1.0}, {"augment": "jpeg+blur"}])
def test_copies_of_another_number_seed_strength_or_kind_are_others(
    part: Any, stem: FeatureSpec, changed: dict[str, Any]
) -> None:
    run(part, copied(stem))
    other = copied(stem, **changed)
    assert pass_key(part, other) != pass_key(part, copied(stem))
    assert run(part, other)[1].passes == Counter(range(200))

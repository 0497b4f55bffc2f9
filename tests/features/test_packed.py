"""Pictures of any size: each is decoded once for all passes, and the features are those of its squares."""

from collections import Counter
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest

from cifake_ray.data.decoding.decode import decode_squares
from cifake_ray.data.pixels import ArrayPixels, EncodedPixels
from cifake_ray.data.transform import Transform, native_transform
from cifake_ray.errors import InputError
from cifake_ray.features import decoding as decoding_module
from cifake_ray.features import distinct_passes, ensure_features, missing_features, ray_shards
from cifake_ray.features.extraction import shard_bounds
from cifake_ray.fits import Fit
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weights import random_weights
from cifake_ray.training.extract import extract_shard

from .test_store import Recorder

PASSES: tuple[tuple[Fit, int, int, str], ...] = (
    ("crop", 32, 32, "identity"),
    ("crop", 32, 48, "flip"),
    ("crop", 48, 48, "identity"),
    ("repeat", 32, 120, "identity"),
    ("tiles", 32, 32, "tile0/identity"),
    ("tiles", 32, 32, "tile4/flip"),
)


@pytest.fixture
def specs(stem: FeatureSpec) -> list[FeatureSpec]:
    """Six passes, and a seventh of other weights."""
    made = [replace(stem, fit=fit, image_size=size, side=side, view=look) for fit, size, side, look in PASSES]
    return [*made, replace(made[0], weights=random_weights("resnet50"))]


@pytest.fixture
def decodes(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """How often each picture was decoded."""
    counted: Counter[bytes] = Counter()

    def decode(data: bytes, *arguments: Any) -> Any:
        counted[data] += 1
        return decode_squares(data, *arguments)

    monkeypatch.setattr(decoding_module, "decode_squares", decode)
    return counted


def expected(part: Any, spec: FeatureSpec) -> dict[str, np.ndarray]:
    squares = part.pixels.under(native_transform(spec.fit, spec.side)).batch(slice(None))
    return extract_shard(squares, spec.build(spec.columns), spec, spec.columns)


def test_each_picture_is_decoded_once_for_all_sizes_fits_looks_and_weights(
    packed: Any, specs: list[FeatureSpec], decodes: Counter[bytes]
) -> None:
    seen: list[tuple[int, int]] = []
    found = ensure_features(packed, specs, progress=lambda *at: seen.append(at))
    assert list(decodes.values()) == [1] * 70
    assert [one.extracted for one in found] == [70] * 7
    assert seen[0] == (0, 70 * 7)
    assert seen[-1] == (70 * 7, 70 * 7)
    for one in found:
        for name, values in expected(packed, one.spec).items():
            stored = one.columns([name])[0]
            np.testing.assert_allclose(stored.astype(float), values.astype(float), rtol=2e-3, atol=1e-3)
    assert [one.extracted for one in ensure_features(packed, specs)] == [0] * 7
    assert decodes.total() == 70


def test_squares_of_whole_pictures_are_decoded_at_the_scale_that_predictions_use(
    packed: Any, stem: FeatureSpec
) -> None:
    sizes = [replace(stem, image_size=size, side=size) for size in (32, 40)]
    for one in ensure_features(packed, sizes):
        values = expected(packed, one.spec)["stem.mean"]
        np.testing.assert_allclose(one.columns(["stem.mean"])[0].astype(float), values.astype(float), atol=1e-3)


def test_squares_of_other_sizes_are_other_features_of_packed_pictures_alone(
    packed: Any, part: Any, stem: FeatureSpec
) -> None:
    specs = [replace(stem, side=side) for side in (32, 64)]
    assert [len(distinct_passes(of, specs)) for of in (packed, part)] == [2, 1]
    first, second = ensure_features(part, specs)
    assert (first.extracted, second.extracted) == (200, 0)
    assert first.entries == second.entries
    assert not missing_features(part, specs[1])
    cropped = [replace(stem, fit="crop", side=side) for side in (24, 28)]
    assert len(distinct_passes(part, cropped)) == 2


def test_pictures_under_the_transform_of_a_model_keep_it(packed: Any, stem: FeatureSpec) -> None:
    squares = Transform("resize", 32)
    bound = replace(packed, pixels=packed.pixels.under(squares))
    held = replace(packed, pixels=ArrayPixels(bound.images), fingerprint="held")
    specs = [replace(stem, image_size=48, side=48), replace(stem, fit="crop", side=24)]
    for one, other in zip(ensure_features(bound, specs), ensure_features(held, specs), strict=True):
        for values, same in zip(one.columns(stem.columns), other.columns(stem.columns), strict=True):
            np.testing.assert_allclose(values.astype(float), same.astype(float), atol=1e-3)
    assert not missing_features(bound, specs[0])
    assert missing_features(packed, specs[0])


def test_a_network_of_fewer_columns_and_one_of_more_are_one_pass(packed: Any, stem: FeatureSpec) -> None:
    crop = replace(stem, fit="crop", side=32)
    two = [replace(crop, taken=("stem.max",)), replace(crop, taken=("stem.grid2",))]
    (both,) = distinct_passes(packed, two)
    assert {*both.columns} == {"stem.mean", "stem.std", "stem.max", "stem.grid2"}
    first, second = ensure_features(packed, two)
    assert (first.extracted, second.extracted) == (70, 0)
    assert second.columns(["stem.grid2"])[0].shape == (70, 256)


def test_held_pictures_are_cropped_on_the_device(part: Any, stem: FeatureSpec) -> None:
    crop, tile = (
        replace(stem, fit=fit, side=24, view=look) for fit, look in (("crop", "flip"), ("tiles", "tile1/flip"))
    )
    corners = {crop: part.images[:, 4:28, 4:28], tile: part.images[:, :24, :24]}
    for one in ensure_features(part, [crop, tile]):
        squares = corners[one.spec]
        flipped = replace(stem, view="flip")
        values = extract_shard(squares, stem.build(stem.columns), flipped, ["stem.mean"])["stem.mean"]
        np.testing.assert_allclose(one.columns(["stem.mean"])[0].astype(float), values.astype(float), atol=1e-3)


def test_killed_extraction_goes_on_where_it_stopped(
    packed: Any, specs: list[FeatureSpec], decodes: Counter[bytes]
) -> None:
    first = Recorder(die_after=1)
    with pytest.raises(KeyboardInterrupt):
        ensure_features(packed, specs, run_shards=first)
    found = ensure_features(packed, specs)
    assert [one.extracted for one in found] == [6] * 7
    assert list(decodes.values()) == [1] * 70


def test_a_pass_that_another_study_left_out_is_extracted_alone(
    packed: Any, specs: list[FeatureSpec], decodes: Counter[bytes]
) -> None:
    ensure_features(packed, specs[:2])
    assert [one.extracted for one in ensure_features(packed, specs)] == [0, 0, *[70] * 5]
    assert decodes.total() == 140


def test_a_damaged_picture_in_the_cache_is_one_line(packed: Any, stem: FeatureSpec, tmp_path: Any) -> None:
    (tmp_path / "encoded").write_bytes(b"\0" * packed.pixels.places.sum())
    damaged = replace(packed, pixels=EncodedPixels(tmp_path / "encoded", packed.pixels.places), fingerprint="damaged")
    with pytest.raises(InputError, match=r"not an image.*cache clear"):
        ensure_features(damaged, [replace(stem, fit="crop", side=32)])


@pytest.mark.usefixtures("ray_session")
def test_ray_tasks_get_the_encoded_pictures_and_give_the_same_features(
    packed: Any, specs: list[FeatureSpec], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = ensure_features(packed, specs, run_shards=partial(ray_shards, wait_s=250))
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "other"))
    for one, other in zip(there, ensure_features(packed, specs), strict=True):
        assert (one.extracted, other.extracted) == (70, 70)
        for values, same in zip(one.columns(["stem.mean", "stem.std"]), other.columns(["stem.mean", "stem.std"]),
                                strict=True):  # fmt: skip
            np.testing.assert_allclose(values.astype(float), same.astype(float), atol=1e-3)


@pytest.mark.parametrize(
    ("pixels", "encoded"), [(32**2, 30_000), (224**2, 100_000), (40 * 224**2, 100_000), (1, 10**9)]
)
def test_shards_of_packed_pictures_are_bounded_by_their_bytes(pixels: int, encoded: int) -> None:
    bounds = shard_bounds(50_000, pixels, encoded)
    assert bounds[-1][1] == 50_000
    rows = bounds[0][1]
    assert rows == 1 or rows * encoded <= 32_000_000
    assert rows <= max(4_000_000 // pixels, 8)

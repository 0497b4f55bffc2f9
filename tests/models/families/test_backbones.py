"""Several frozen networks under one head: their passes, their search, their model, and files that are missing."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cifake_ray.data import Part
from cifake_ray.data.facts import facts_of
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.table import make_table
from cifake_ray.data.transform import Transform
from cifake_ray.detector.load import describe_detector, load_detector, parameter_counts, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.errors import InputError
from cifake_ray.evaluation.saliency import class_activation_maps
from cifake_ray.experiment import Experiment
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
PAIR = [
    {"kind": "resnet18", "weights": "random", "image_size": 32, "stages": ["stem"]},
    {"kind": "mobilenet_v2", "weights": "random", "image_size": [32, 40], "stages": ["features.0"]},
]


def experiment(*backbones: Any, space: dict[str, Any] | None = None, **model: Any) -> Experiment:
    tree = {"backbones": list(backbones or PAIR), "head_width": 4} | model
    return Experiment.model_validate({"name": "several", "model": tree, "search_space": space or {}})


def detector_of(made: Experiment) -> Detector:
    torch.manual_seed(0)
    family = family_of(made.model)
    return Detector(made.model, family.start(made.model), family.weights(made.model), Transform())


def choices(*values: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values)}


def test_two_backbones_predict_from_images_as_from_cached_features() -> None:
    pair = detector_of(experiment(views=["identity", "flip"]))
    table = make_table("test", np.zeros(8, np.uint8), np.array([f"{at}" for at in range(8)]), facts_of(IMAGES))
    part = Part(table, ArrayPixels(IMAGES), "eight images of two backbones")
    cached, extracted = pair.p_fake_of_part(part), pair.p_fake(IMAGES)
    np.testing.assert_allclose(cached, extracted, atol=1e-4)
    assert len({*extracted.round(6)}) > 1
    keys = [spec.key for view in pair.model.looks for spec in pair.passes(view)]
    assert keys == [key for view in pair.model.looks for key, _ in pair.model.reads(view)]


def test_two_backbones_are_counted_named_and_explained() -> None:
    pair = detector_of(experiment())
    trained, held = parameter_counts(pair)
    assert trained == count_parameters(pair.network) < held
    assert pair.weights_label == pair.model.weights_label == "random+random"
    assert class_activation_maps(pair, IMAGES, np.array([True] * 8)).shape == (8, 8, 8)


def test_every_combination_of_sizes_gives_its_square() -> None:
    space = {"backbones.0.image_size": choices(32, 64), "backbones.1.image_size": choices("32+40", 96)}
    searched = experiment(space=space)
    specs = family_of(searched.model).passes(searched)
    sides = {(spec.weights.kind, spec.image_size, spec.side) for spec in specs}
    assert sides == {
        ("resnet18", 32, 40), ("resnet18", 32, 96), ("resnet18", 64, 64), ("resnet18", 64, 96),
        ("mobilenet_v2", 32, 40), ("mobilenet_v2", 40, 40), ("mobilenet_v2", 32, 64), ("mobilenet_v2", 40, 64),
        ("mobilenet_v2", 96, 96),
    }  # fmt: skip
    assert specs[0].key == searched.model.reads("identity")[0][0]
    for pair in ((32, 96), (64, "32+40")):
        params = dict(zip(space, pair, strict=True))
        asked = {key for key, _ in searched.with_params(params).model.reads("identity")}
        assert asked <= {spec.key for spec in specs}


def test_stages_and_pools_of_one_backbone_do_not_touch_the_other() -> None:
    space = {"backbones.0.stages": choices("stem", "stem+layer1"), "backbones.0.pool": choices("mean+std", "max")}
    first, *others = family_of(experiment().model).passes(experiment(space=space))
    assert {*first.taken} == {f"{stage}.{name}" for stage in ("stem", "layer1") for name in ("mean", "std", "max")}
    assert {other.taken for other in others} == {("features.0.mean", "features.0.std")}


def test_backbones_that_coincide_share_a_pass_and_a_network() -> None:
    deep = PAIR[0] | {"stages": ["layer1"]}
    made = experiment(PAIR[0], deep)
    (spec,) = family_of(made.model).passes(made)
    assert {"stem.mean", "stem.std", "layer1.mean", "layer1.std"} <= {*spec.columns}
    twice = detector_of(made)
    assert np.isfinite(twice.p_fake(IMAGES)).all()
    assert sum(name.startswith("_backbone_") for name, _ in twice.named_children()) == 1


def test_too_many_passes_over_all_backbones_are_refused() -> None:
    space = {"backbones.1.image_size": {"type": "int", "low": 32, "high": 224}}
    backbones = (PAIR[0], PAIR[1] | {"image_size": 32})
    searched = experiment(*backbones, space=space)
    with pytest.raises(InputError, match=r"backbones\.1\.image_size: 193 sizes .* of the other backbones .*`step`"):
        family_of(searched.model).passes(searched)


def test_each_backbone_has_its_own_norm_of_features_and_it_is_saved(tmp_path: Path) -> None:
    made = experiment(PAIR[0] | {"feature_norm": "layer"}, PAIR[1])
    normed, plain = detector_of(made), detector_of(experiment())
    assert normed.network.normalise.parts == (("layer", 64), ("layer", 64), *(("none", 32),) * 4)  # type: ignore[union-attr]
    assert not np.allclose(normed.p_fake(IMAGES), plain.p_fake(IMAGES))
    run = create_run(tmp_path, "one", made)
    save_detector(normed, run.best)
    np.testing.assert_array_equal(load_detector(run).p_fake(IMAGES), normed.p_fake(IMAGES))
    assert '"feature_norm": "layer"' in (run.best / "model.json").read_text()


@pytest.fixture
def saved(tmp_path: Path, save_weights: Any) -> Run:
    """A model of two backbones whose weights are files of the user's."""
    files = [save_weights(tmp_path / f"{name}.safetensors", "stem", "layer1") for name in ("first", "second")]
    shutil.copy(save_weights(tmp_path / "stem.safetensors", "stem"), files[1])
    made = experiment(
        *({"kind": "resnet50", "weights": str(file), "image_size": 32, "stages": ["stem"]} for file in files)
    )
    run = create_run(tmp_path / "runs", "mine", made)
    save_detector(detector_of(made), run.best)
    return run


def test_a_model_of_two_backbones_is_loaded_with_both_files(saved: Run) -> None:
    detector = load_detector(saved)
    assert detector.weights_label == "first.safetensors+second.safetensors"
    notes = describe_detector(detector).backbones
    assert [note.weights for note in notes] == ["first.safetensors", "second.safetensors"]
    assert notes[0].sha256 != notes[1].sha256


def test_every_missing_file_is_named_at_once(saved: Run, tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.safetensors").unlink()
    with pytest.raises(InputError) as refused:
        load_detector(saved)
    assert "first.safetensors: no such file" in str(refused.value)
    assert "second.safetensors: no such file" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_files_that_moved_are_found_by_their_hash(saved: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = load_detector(saved).p_fake(IMAGES)
    (tmp_path / "moved").mkdir()
    (tmp_path / "first.safetensors").rename(tmp_path / "moved" / "a.safetensors")
    (tmp_path / "second.safetensors").rename(tmp_path / "moved" / "b.safetensors")
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS", str(tmp_path / "moved"))
    np.testing.assert_array_equal(load_detector(saved).p_fake(IMAGES), expected)

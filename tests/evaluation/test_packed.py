"""Everything that judges, on pictures of many sizes: a model of native crops, one of tiles, one of 32 pixels."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import load_images, run_images, split_train
from cifake_ray.data.sources.reading import reading_of
from cifake_ray.data.transform import RESIZED, SQUEEZED, Transform, to_squares
from cifake_ray.detector.load import load_detector, save_detector
from cifake_ray.detector.predict import predict_files
from cifake_ray.errors import InputError
from cifake_ray.evaluation.blend import blend_runs
from cifake_ray.evaluation.errors import explain_run
from cifake_ray.evaluation.evaluate import evaluate_run
from cifake_ray.evaluation.own_images import images_to_score
from cifake_ray.evaluation.robustness import measure_robustness
from cifake_ray.evaluation.testing import score_winners
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.names import create_run
from cifake_ray.runs.records.store import read_blend, read_tested
from cifake_ray.runs.run import Run
from cifake_ray.tuning.retraining import Retraining, note_winners
from cifake_ray.tuning.squares import hold_squares
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial

from ..native import write_native
from .test_blend import erring, labels_of, put_logits

Made = dict[str, Run]


def trained(folder: Path, name: str, source: str, model: dict[str, Any], **data: Any) -> Run:
    """A run whose winner was trained for an epoch on the source, and tested. data: further keys of that section."""
    tree = {
        "name": name,
        "model": {"kind": "cnn", "channels": 4, "head_width": 8, "image_size": 32} | model,
        "training": {"epochs": 1, "batch_size": 8, "precision": "fp32"},
        "data": {"source": source, "val_fraction": 0.25} | data,
    }
    experiment = Experiment.model_validate(tree)
    run, images = create_run(folder, name, experiment), load_images(source, reading=reading_of(experiment.data))
    squares = hold_squares(experiment, images.train, lambda: None)
    context = TrialContext(experiment, run, images.path, split_train(images.train, 0.25, 0), {}, squares=squares)
    counts = {name: int((images.test.labels == label).sum()) for label, name in enumerate(LABELS)}
    noted = {"fingerprint": images.fingerprint, "source": source, "test": counts}
    run.environment_file.write_text(json.dumps({"data": noted}))
    plan, reported = [Retraining("tuned", 0, {}, 1)], list[dict[str, Any]]()
    run_trial(context, plan[0].config(), reported.append)
    assert not [row for row in reported if "failed" in row]
    note_winners(run, plan, {}, 1)
    score_winners(run)
    return run


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str, Made]]:
    with pytest.MonkeyPatch.context() as patch:
        cache, folder = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("runs")
        patch.setenv("CIFAKE_RAY_CACHE", str(cache))
        source = write_native(folder / "native")
        runs = {fit: trained(folder, fit, source, {"fit": fit}) for fit in ("crop", "tiles", "resize")}
        runs["neutral"] = trained(folder, "neutral", source, {"fit": "crop"}, neutral={"quality": [40, 60], "size": 64})
        runs["held"] = trained(folder, "held", "sample", {"fit": "crop", "image_size": 24})
        yield cache, source, runs


@pytest.fixture
def source(once: tuple[Path, str, Made], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(once[0]))
    return once[1]


@pytest.fixture
def runs(once: tuple[Path, str, Made], source: str) -> Made:  # noqa: ARG001 (the cache is set)
    return once[2]


NATIVE = ("crop", "tiles", "resize")


@pytest.mark.parametrize("fit", NATIVE)
def test_the_part_is_judged_as_each_file_is(runs: Made, source: str, fit: str) -> None:
    run, test = runs[fit], load_images(source).test
    p_fake = load_detector(run).p_fake_of_part(test)
    names = [f"{source}/test/{('FAKE', 'REAL')[label]}/{name}"
             for label, name in zip(test.labels, test.table.names, strict=True)]  # fmt: skip
    answers = list(predict_files(run, names))
    np.testing.assert_allclose([answer["p_fake"] for answer in answers], p_fake, atol=1e-5)
    assert read_tested(run).test_images == len(test)


def test_model_json_says_how_a_picture_is_seen(runs: Made) -> None:
    noted = {name: json.loads((run.best / "model.json").read_text()) for name, run in runs.items()}
    plain = {"side": 32, "reduced": False, "neutral": None}
    assert noted["crop"]["transform"] == {"name": "crop-32", "fit": "crop", **plain}
    assert noted["crop"]["input"] == "RGB, centred crop of 32 x 32 native pixels, 0..255"
    resized = {"name": "resize-32-reduced-bilinear", "fit": "resize", **plain, "reduced": True}
    assert noted["resize"]["transform"] == resized
    assert noted["held"]["transform"] == {"name": "resize-32", "fit": "resize", **plain}
    assert noted["held"]["input"] == "RGB, 32 x 32 pixels, 0..255"
    names = [one["name"] for one in noted["tiles"]["domain"]["properties"]]
    assert "width" not in names
    assert "width" in [one["name"] for one in noted["held"]["domain"]["properties"]]


@pytest.mark.parametrize("fit", [*NATIVE, "neutral"])
def test_its_own_images_are_scored_as_before(runs: Made, source: str, fit: str) -> None:
    stored = read_tested(runs[fit]).winners[0].seeds[0].test
    assert evaluate_run(runs[fit]).test == stored
    assert evaluate_run(runs[fit], source).test == stored


def test_pictures_that_are_judged_get_the_middle_quality_of_the_neutral_encoding(runs: Made, source: str) -> None:
    assert json.loads((runs["neutral"].best / "model.json").read_text())["transform"]["neutral"]["quality"] == [40, 60]
    answer = next(iter(predict_files(runs["neutral"], [str(next(Path(source, "test").rglob("*.*")))])))
    assert "re-encoded as JPEG of quality 50, at most 64 px" in answer["remarks"]


def test_without_its_source_a_run_takes_no_images_of_another_encoding(runs: Made, source: str, tmp_path: Path) -> None:
    for name in ("neutral", "crop"):
        run = runs[name]
        away = create_run(tmp_path, name, run.experiment().model_copy(
            update={"data": run.experiment().data.model_copy(update={"source": str(tmp_path / "gone")})}))  # fmt: skip
        note = json.loads(run.environment_file.read_text())
        note["data"]["fingerprint_v2"] = load_images(source).fingerprint_v2
        away.environment_file.write_text(json.dumps(note))
        found = run_images(away, away.experiment())
        assert found.neutral == ("jpeg40-60-max64-seed0" if name == "neutral" else "")


def test_a_model_of_32_pixels_squeezes_other_pictures_as_version_0_1_did(runs: Made, source: str) -> None:
    run, test = runs["held"], load_images(source).test
    result = evaluate_run(run, source)
    different = int((test.table.sizes != 32).any(axis=1).sum())
    assert result.converted[RESIZED] == different
    assert result.converted[SQUEEZED] == int((test.table.sizes[:, 0] != test.table.sizes[:, 1]).sum())
    assert f"seen as whole picture resized to 32 x 32 pixels: {different} {RESIZED}" in result.summary
    detector = load_detector(run)
    files = sorted(Path(source, "test").rglob("*.*"))
    squeezed = np.stack([to_squares(Image.open(file).convert("RGB"), Transform()).pixels for file in files])
    fakes = np.array([file.parent.name == "FAKE" for file in files])
    right = ((detector.p_fake(squeezed) > 0.5) == fakes).mean()
    assert result.test.accuracy.value == pytest.approx(right)


def test_a_model_of_native_crops_judges_small_images_as_their_files(runs: Made) -> None:
    detector, test = load_detector(runs["crop"]), load_images("sample", limit=80).test
    large = dataclasses.replace(detector.transform, side=48)
    detector.transform = large
    squares = np.stack([to_squares(Image.fromarray(image), large).pixels for image in test.images])
    np.testing.assert_allclose(detector.p_fake_of_part(test), detector.p_fake(squares), atol=1e-6)


def test_a_stray_among_small_pictures_reaches_a_native_model_at_its_scale(runs: Made, tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for number in range(20):
        side = 90 if number == 19 else 32
        file = tmp_path / "small" / ("FAKE", "REAL")[number % 2] / f"{number:02}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (side, side, 3), dtype=np.uint8)).save(file)
    judged = images_to_score(runs["crop"], str(tmp_path / "small"), Transform("crop", 32)).part
    names = [f"{tmp_path}/small/{LABELS[label]}/{name}"
             for label, name in zip(judged.labels, judged.table.names, strict=True)]  # fmt: skip
    answers = [answer["p_fake"] for answer in predict_files(runs["crop"], names)]
    np.testing.assert_allclose(load_detector(runs["crop"]).p_fake_of_part(judged), answers, atol=1e-5)
    assert images_to_score(runs["held"], str(tmp_path / "small"), Transform()).part.side == 32


def test_a_transform_of_a_later_version_is_refused_in_one_line(runs: Made, tmp_path: Path) -> None:
    best = tmp_path / "later" / "best"
    shutil.copytree(runs["resize"].path, best.parent)
    note = json.loads((best / "model.json").read_text())
    note["transform"] |= {"name": "resize-32-reduced-spline", "fit": "spline"}
    (best / "model.json").write_text(json.dumps(note))
    for read in (load_detector, lambda run: list(predict_files(run, []))):
        with pytest.raises(InputError, match=r"resize-32-reduced-spline, which this version .*; update cifake-ray"):
            read(Run(best.parent))


def test_a_detector_that_is_saved_again_keeps_its_encoding(runs: Made, tmp_path: Path) -> None:
    for name in ("neutral", "crop"):
        save_detector(load_detector(runs[name]), tmp_path / name)
        noted = [json.loads((folder / "model.json").read_text()) for folder in (tmp_path / name, runs[name].best)]
        assert noted[0]["transform"] == noted[1]["transform"]
    assert noted[0]["transform"]["neutral"] is None


@pytest.mark.parametrize("name", ["crop", "tiles", "held"])
def test_degraded_images_and_explanations_are_drawn(runs: Made, name: str) -> None:
    measured = measure_robustness(runs[name])
    assert len(measured.rows) == 15  # as they are, degraded in twelve ways, delivered in two tiers
    assert measured.rows[0].accuracy == read_tested(runs[name]).winners[0].seeds[0].test.accuracy
    explained = explain_run(runs[name])
    assert all(Image.open(runs[name].explanations / one.overlay).size == (128, 128) for one in explained.images)


def test_no_more_than_a_batch_is_decoded_at_once(runs: Made, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    detector, part = load_detector(runs["crop"]), load_images(source).train
    judge: Callable[[np.ndarray], np.ndarray] = detector.logits

    def counted(images: np.ndarray) -> np.ndarray:
        taken.append(len(images))
        return judge(images)

    monkeypatch.setattr(detector, "logits", counted)
    assert len(detector.p_fake_of_part(part)) == len(part) == sum(taken)
    assert max(taken) <= 16


def test_a_blend_of_models_that_see_other_squares_judges_each_picture_in_both(runs: Made, tmp_path: Path) -> None:
    """A centred crop of 32 native pixels, and the whole picture at 32 pixels."""
    members = [Run(shutil.copytree(runs[fit].path, tmp_path / fit)) for fit in ("crop", "resize")]
    labels = labels_of(members[0])
    half = len(labels) // 2
    put_logits(members[0], erring(labels, slice(0, half // 2)))
    put_logits(members[1], erring(labels, slice(half, half + half // 2), 6.0))
    mix = blend_runs(members, tmp_path, "mix")
    test, shares = run_images(mix, mix.experiment()).test, [member.weight for member in read_blend(mix).members]
    each = [load_detector(run).logits_of_part(test) for run in members]
    expected = sum(share * logits for share, logits in zip(shares, each, strict=True))
    np.testing.assert_allclose(load_detector(mix).logits_of_part(test), expected, rtol=1e-6)
    files = sorted(Path(mix.experiment().data.source, "test", "FAKE").iterdir())[:3]
    found = {one["file"]: one["p_fake"] for one in predict_files(mix, list(map(str, files)))}
    alone = [{one["file"]: one["p_fake"] for one in predict_files(run, list(found))} for run in members]
    for file, p_fake in found.items():
        logits = [np.log(one[file] / (1 - one[file])) for one in alone]
        assert p_fake == pytest.approx(1 / (1 + np.exp(-np.dot(shares, logits))), abs=1e-3)
    panel = measure_robustness(mix)
    assert panel.rows[0].accuracy.value == pytest.approx(float(((expected > 0) == (test.labels == 0)).mean()))
    assert explain_run(mix).method.count("Of a blend") == 1

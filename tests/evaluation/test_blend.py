"""A blend of two studies' best models: chosen on validation, tested once, a run like any other."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cifake_ray.data import load_images
from cifake_ray.detector.blend import Blend
from cifake_ray.detector.load import describe_detector, load_detector, save_detector
from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.predict import predict_files
from cifake_ray.errors import InputError, WorkError
from cifake_ray.evaluation.blend import _candidate, blend_runs, common_metric, score_by
from cifake_ray.evaluation.calibration import held_out_rows
from cifake_ray.evaluation.errors import explain_run
from cifake_ray.evaluation.evaluate import evaluate_run
from cifake_ray.evaluation.robustness import measure_robustness
from cifake_ray.experiment import Experiment, Metric, load_experiment
from cifake_ray.models.registry import family_of
from cifake_ray.reporting.load import load
from cifake_ray.reporting.report import write_report
from cifake_ray.runs.predictions import ValidationLogits, read_validation, write_validation
from cifake_ray.runs.records.store import read_blend, read_tested
from cifake_ray.runs.run import Run
from cifake_ray.tuning.request import resumed_request
from cifake_ray.tuning.single_trial import best_of_run
from tests.own_net import NET, write_experiment

CopyOf = Callable[..., Run]


def put_logits(run: Run, logits: np.ndarray) -> None:
    """Make these the stored validation logits of the run's best model."""
    stored = read_validation(run)
    assert stored is not None
    seed = json.loads((run.best / "model.json").read_text())["seed"]
    stored.logits["tuned"][seed] = logits.astype(np.float32)
    put_all(run, stored)


def put_all(run: Run, logits: ValidationLogits) -> None:
    noted = json.loads(run.test_file.read_text())
    noted["validation_sha256"] = write_validation(run, logits)
    run.test_file.write_text(json.dumps(noted))


def labels_of(run: Run) -> np.ndarray:
    stored = read_validation(run)
    assert stored is not None
    return stored.labels


def erring(labels: np.ndarray, wrong: slice, sure: float = 3.0) -> np.ndarray:
    """Logits of FAKE that are right but for these pictures."""
    logits = np.where(labels == 0, sure, -sure)
    logits[wrong] = np.where(labels[wrong] == 0, -0.5, 0.5)
    return logits


@pytest.fixture
def pair(copy_of: CopyOf) -> list[Run]:
    """A CNN and a frozen ResNet50 on the same 100 validation pictures, of which each gets ten others wrong."""
    runs = [copy_of("cnn", scored=True), copy_of("resnet50", scored=True)]
    labels = labels_of(runs[0])
    put_logits(runs[0], erring(labels, slice(0, 10)))
    put_logits(runs[1], erring(labels, slice(50, 60), 6.0))
    return runs


@pytest.fixture
def blended(pair: list[Run], tmp_path: Path) -> Run:
    return blend_runs(pair, tmp_path / "blends", "mix")


def test_a_blend_is_a_run_with_everything_that_it_needs(blended: Run, pair: list[Run]) -> None:
    for run in pair:
        shutil.rmtree(run.path)
    names = {file.relative_to(blended.path).as_posix() for file in blended.path.rglob("*") if file.is_file()}
    assert names - {".lock"} == {
        "experiment.yaml", "environment.json", "blend.json", "best/model.json", "best/model.safetensors", "test.json",
        "test_predictions.npz", "val_predictions.npz", "verdicts.json",
    }  # fmt: skip
    detector = load_detector(blended)
    assert isinstance(detector, Blend)
    images = load_images("sample", limit=200)
    with np.load(blended.predictions_file) as stored:
        np.testing.assert_allclose(detector.p_fake_of_part(images.test), stored["tuned_0"], atol=1e-6)
    assert (
        load(blended.path).mean("tuned").test.accuracy.value
        == read_tested(blended).winners[0].seeds[0].test.accuracy.value
    )


def test_its_logits_are_those_of_the_models_that_it_was_offered(blended: Run, pair: list[Run]) -> None:
    note, images = read_blend(blended), load_images("sample", limit=200)
    expected = sum(member.weight * load_detector(run).logits_of_part(images.test)
                   for member, run in zip(note.members, pair, strict=True))  # fmt: skip
    np.testing.assert_allclose(load_detector(blended).logits_of_part(images.test), expected, rtol=1e-6)


def test_weights_follow_from_the_stored_validation_logits(blended: Run, pair: list[Run]) -> None:
    note = read_blend(blended)
    assert [member.run for member in note.members] == ["cnn", "resnet50"]
    assert all(member.chosen for member in note.members)
    assert sum(member.weight for member in note.members) == pytest.approx(1)
    assert [member.val_accuracy for member in note.members] == [0.9, 0.9]
    assert note.val_accuracy == 1.0
    assert note.metric == "val_accuracy"
    assert note.validation_images == 100
    stored, members = read_validation(blended), [read_validation(run) for run in pair]
    assert stored is not None
    seeds = [member.seed for member in note.members]
    each = [found.logits["tuned"][seed] for found, seed in zip(members, seeds, strict=True) if found and seed]
    expected = sum(member.weight * logits for member, logits in zip(note.members, each, strict=True))
    np.testing.assert_allclose(stored.logits["tuned"][0], expected, rtol=1e-6)
    hashes = [json.loads((run.best / "model.json").read_text())["sha256"] for run in pair]
    assert [member.sha256 for member in note.members] == hashes


def test_stored_logits_are_used_and_else_computed_with_the_stored_weights(pair: list[Run]) -> None:
    images = load_images("sample", limit=200)
    rows = held_out_rows(pair[0].experiment(), images)
    computed = load_detector(pair[1]).logits_of_part(images.train, None, rows)
    labels = labels_of(pair[1])
    np.testing.assert_array_equal(_candidate(pair[1], images, rows).logits, erring(labels, slice(50, 60), 6.0))
    stored = read_validation(pair[1])
    assert stored is not None
    put_all(pair[1], ValidationLogits(1 - labels, stored.names, stored.groups, stored.logits))  # of other pictures
    np.testing.assert_allclose(_candidate(pair[1], images, rows).logits, computed)
    pair[1].validation_file.unlink()  # as in a run of version 0.1
    np.testing.assert_allclose(_candidate(pair[1], images, rows).logits, computed)


def test_a_blend_is_tested_once_and_reported_with_its_weights(blended: Run, pair: list[Run], tmp_path: Path) -> None:
    tested = read_tested(blended)
    assert [winner.role for winner in tested.winners] == ["tuned"]
    assert len(tested.winners[0].seeds) == 1
    assert tested.winners[0].params_total == sum(read_tested(run).winners[0].params_total or 0 for run in pair)
    write_report([*(run.path for run in pair), blended.path], tmp_path / "report")
    text = (tmp_path / "report" / "comparison.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| mix "))
    words = read_blend(blended).words
    assert f"blend: {words}" in row
    assert "| blend " in row
    assert "## Blends" in text
    page = (tmp_path / "report" / "report.html").read_text()
    assert "What is averaged" in page
    assert "cifake-ray blend" in page


def test_it_predicts_is_evaluated_degraded_and_explained_like_a_model(blended: Run, tmp_path: Path) -> None:
    file = tmp_path / "picture.png"
    Image.new("RGB", (32, 32), (90, 120, 60)).save(file)
    (answer,) = predict_files(blended, [str(file)])
    assert answer["verdict"] in ("fake", "real", "unsure")
    images = load_images("sample", limit=200)
    Image.fromarray(images.test.images[0]).save(file)
    (again,) = predict_files(blended, [str(file)])
    with np.load(blended.predictions_file) as stored:
        assert again["p_fake"] == pytest.approx(float(stored["tuned_0"][0]), abs=1e-3)
    result = evaluate_run(blended)
    assert result.test.accuracy.value == read_tested(blended).winners[0].seeds[0].test.accuracy.value
    panel = measure_robustness(blended, limit=20)
    assert panel.rows[0].name == "as they are"
    assert len(panel.rows) > 5
    explained = explain_run(blended)
    assert "Grad-CAM" in explained.method
    assert "HiResCAM" in explained.method
    assert "Of a blend" in explained.method


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (
            {"data": {"split_seed": 1}},
            r"another split than that of .*cnn \(data.split_seed\); blend studies that validate",
        ),
        ({"data": {"val_fraction": 0.4}}, r"another split than that of .* \(data.val_fraction\)"),
    ],
)
def test_another_split_is_refused(pair: list[Run], tmp_path: Path, change: dict[str, Any], refusal: str) -> None:
    tree = pair[1].experiment().model_dump(mode="json", by_alias=True)
    tree["data"] |= change["data"]
    pair[1].experiment_file.write_text(json.dumps(tree))
    with pytest.raises(InputError, match=refusal):
        blend_runs(pair, tmp_path / "blends", "mix")


def test_other_images_are_refused(pair: list[Run], tmp_path: Path) -> None:
    pair[1].environment_file.write_text(json.dumps({"data": {"fingerprint": "3" * 64}}))
    with pytest.raises(InputError, match=r"other images than those of .*cnn; blend studies of one set"):
        blend_runs(pair, tmp_path / "blends", "mix")
    assert not (tmp_path / "blends").exists()


def test_too_few_runs_a_name_that_is_taken_and_a_blend_are_refused(
    blended: Run, pair: list[Run], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="a blend needs two studies; name at least two runs"):
        blend_runs([pair[0], Run(pair[0].path)], tmp_path / "blends", "other")
    with pytest.raises(InputError, match="mix: a run of this name exists; choose another --name"):
        blend_runs(pair, tmp_path / "blends", "mix")
    with pytest.raises(InputError, match=r"mix: a blend already; name the studies that it is made of"):
        blend_runs([blended, pair[0]], tmp_path / "blends", "other")
    with pytest.raises(InputError, match="'a b' is no name"):
        blend_runs(pair, tmp_path / "blends", "a b")


def test_a_run_without_its_weights_is_refused(pair: list[Run], tmp_path: Path) -> None:
    (pair[1].best / "model.safetensors").unlink()
    with pytest.raises(InputError, match="the weights of this model were not published"):
        blend_runs(pair, tmp_path / "blends", "mix")


def test_where_no_blend_is_better_than_one_model_nothing_is_written(pair: list[Run], tmp_path: Path) -> None:
    labels = labels_of(pair[0])
    put_logits(pair[0], np.where(labels == 0, 9.0, -9.0))
    put_logits(pair[1], np.where(labels == 0, -9.0, 9.0))
    with pytest.raises(WorkError, match="no blend of these models has a better validation accuracy than cnn alone"):
        blend_runs(pair, tmp_path / "blends", "mix")
    assert not (tmp_path / "blends").exists()


def test_infinite_logits_are_averaged(pair: list[Run], tmp_path: Path) -> None:
    labels = labels_of(pair[0])
    logits = erring(labels, slice(0, 10))
    logits[99] = np.inf if labels[99] == 0 else -np.inf
    put_logits(pair[0], logits)
    assert read_blend(blend_runs(pair, tmp_path / "blends", "mix")).val_accuracy == 1.0


def test_a_blend_is_neither_resumed_nor_trained(blended: Run) -> None:
    with pytest.raises(InputError, match=r"mix: a blend, which has no trials"):
        resumed_request(blended.storage, "mix", None, None)
    with pytest.raises(InputError, match=r"mix: a blend, which is not trained"):
        best_of_run(blended, data=None, seed=None, settings=[])


def test_the_studies_metric_chooses_where_logits_suffice_for_it() -> None:
    def by(*metrics: str) -> Metric:
        return common_metric([
            Experiment.model_validate({"name": "x", "model": {"kind": "cnn"}, "search": {"metric": metric}})
            for metric in metrics
        ])  # fmt: skip

    assert by("val_loss", "val_loss") is Metric.VAL_LOSS
    assert by("val_loss", "val_accuracy") is Metric.VAL_ACCURACY
    labels = np.array([0, 0, 1, 1])
    logits = np.array([2.0, -1.0, -2.0, -2.0])
    loss = float(np.log1p(np.exp([-2.0, 1.0, -2.0, -2.0])).mean())
    assert score_by(Metric.VAL_LOSS, labels)(logits) == pytest.approx((-loss,))
    assert score_by(Metric.VAL_ACCURACY, labels)(logits) == pytest.approx((0.75, -loss))


def test_networks_of_ones_own_travel_with_the_blend_and_run_only_if_trusted(pair: list[Run], tmp_path: Path) -> None:
    """Two files of one name, of two networks; the user tuned neither from here."""
    for run, width in zip(pair, (3, 5), strict=True):
        net = NET.replace("nn.ReLU()", "nn.GELU()") if width == 3 else NET
        file = write_experiment(tmp_path / f"net-{run.name}", net)
        model = load_experiment(file, [f"model.args.width={width}"]).model
        torch.manual_seed(width)
        detector, noted = Detector(model, family_of(model).build(model)), read_model_note(run)
        described = describe_detector(detector).model_copy(update={"seed": noted.seed})
        save_detector(detector, run.best, described)
        (run.path / "my_net.py").write_text(net)
    with pytest.raises(InputError, match="a run's own Python file is not run"):
        blend_runs(pair, tmp_path / "blends", "mix")
    mix = blend_runs([run.trusting() for run in pair], tmp_path / "blends", "mix")
    assert sorted(file.name for file in mix.path.glob("*.py")) == ["member0_my_net.py", "member1_my_net.py"]
    first = read_model_note(mix).members[0]
    assert (mix.path / "member0_my_net.py").read_text() == (tmp_path / f"net-{first.run}" / "my_net.py").read_text()
    assert mix.experiment().model.own_file_path == "member0_my_net.py"
    with pytest.raises(InputError, match=r"member0_my_net.py: a run's own Python file is not run"):
        load_detector(mix)
    with np.load(mix.predictions_file) as stored:
        found = load_detector(mix.trusting()).p_fake_of_part(load_images("sample", limit=200).test)
        np.testing.assert_allclose(found, stored["tuned_0"], atol=1e-6)

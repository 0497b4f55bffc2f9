"""The test part: touched once for each winner; what test.json, test_predictions.npz and best/ then hold."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.cli.show import print_evaluation
from cifake_ray.data import load_images, split_train
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.verdict import decide
from cifake_ray.errors import InputError
from cifake_ray.evaluation import testing
from cifake_ray.evaluation.evaluate import evaluate_run
from cifake_ray.evaluation.metrics import score_seeds
from cifake_ray.evaluation.testing import results_fault, score_winners
from cifake_ray.experiment.families.cnn import CnnModel
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections import evaluations
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.predictions import read_validation
from cifake_ray.runs.records.store import read_tested, write_record
from cifake_ray.runs.run import Run
from cifake_ray.tuning.retraining import Retraining, already_retrained

CopyOf = Callable[..., Run]
KINDS = ("cnn", "resnet50")
METRICS = {"accuracy", "balanced_accuracy", "auc", "f1_fake", "ece"}


def files_of(run: Run) -> dict[str, bytes]:
    return {str(p.relative_to(run.path)): p.read_bytes() for p in sorted(run.path.rglob("*")) if p.is_file()}


def fake_accuracies(run: Run, accuracies: list[float]) -> None:
    """Put these validation accuracies into the tuned entry of winners.json."""
    noted = json.loads(run.winners_file.read_text())
    for seed, accuracy in zip(noted["winners"][0]["seeds"], accuracies, strict=True):
        seed["val_accuracy"] = accuracy
    run.winners_file.write_text(json.dumps(noted))


@pytest.fixture(params=KINDS)
def scored(request: pytest.FixtureRequest, copy_of: CopyOf) -> Run:
    return copy_of(request.param, scored=True)


def test_test_json_holds_winner_and_baseline_with_every_seed_and_their_mean(scored: Run) -> None:
    test = json.loads(scored.test_file.read_text())
    assert test["schema"] == 1
    assert test["positive_class"] == "FAKE"
    assert "Wilson" in test["method"]
    assert "bootstrap" in test["method"]
    assert test["test_images"] == 50
    assert test["duplicates_removed"] == 0
    assert [(winner["role"], winner["trial_id"]) for winner in test["winners"]] == [("tuned", 3), ("baseline", 0)]
    for winner in test["winners"]:
        assert winner["epochs"] == 1
        assert winner["seconds"] > 0
        assert winner["cpu_seconds"] > 0
        assert [seed["seed"] for seed in winner["seeds"]] == [1, 2, 3]
        for entry in (*winner["seeds"], winner["mean"]):
            assert {"train_accuracy", "val_accuracy"} <= set(entry)
            for part in ("test", "test_dedup"):
                assert set(entry[part]) == METRICS
                assert all(s["low"] <= s["value"] <= s["high"] for s in entry[part].values())
        for seed in winner["seeds"]:
            assert seed["best_epoch"] == 1
            assert [row["epoch"] for row in seed["curve"]] == [1]
            assert "folder" not in seed
        for key in ("train_accuracy", "val_accuracy"):
            assert winner["mean"][key] == pytest.approx(np.mean([seed[key] for seed in winner["seeds"]]))


def test_parameters_and_weights_are_named(copy_of: CopyOf) -> None:
    for kind, model, weights, frozen in (
        ("cnn", CnnModel(channels=4, head_width=12), "none", 0),
        ("resnet50", BackboneModel(stages=("stem",), head_width=12), "random", 9408 + 128),  # of conv1 and bn1
        ("resnet18", BackboneModel(kind="resnet18", stages=("stem",), trainable="all", head_width=12), "random", 0),
    ):
        run = copy_of(kind, scored=True)
        tuned = json.loads(run.test_file.read_text())["winners"][0]
        assert tuned["params_trained"] == count_parameters(family_of(model).build(model))
        assert tuned["params_total"] == tuned["params_trained"] + frozen
        assert tuned["weights"] == weights


def test_stored_predictions_give_the_stored_scores(scored: Run) -> None:
    test = json.loads(scored.test_file.read_text())
    with np.load(scored.predictions_file, allow_pickle=False) as stored:
        arrays = dict(stored)
    roles = {f"{role}_{seed}" for role in ("tuned", "baseline") for seed in (1, 2, 3)}
    assert set(arrays) == {"labels", "names", "duplicate", *roles, *(f"logit_{name}" for name in roles)}
    images = load_images("sample", limit=200)
    assert np.array_equal(arrays["labels"], images.test.labels)
    assert np.array_equal(arrays["names"], images.test.table.names)
    assert not arrays["duplicate"].any()
    for winner in test["winners"]:
        p_fake = [arrays[f"{winner['role']}_{seed}"] for seed in (1, 2, 3)]
        assert all(((p >= 0) & (p <= 1)).all() for p in p_fake)
        logits = [arrays[f"logit_{winner['role']}_{seed}"].astype(np.float64) for seed in (1, 2, 3)]
        assert [1 / (1 + np.exp(-of_seed)) for of_seed in logits] == [pytest.approx(p, rel=1e-6) for p in p_fake]
        each, mean = score_seeds(arrays["labels"], p_fake)
        assert [seed["test"] for seed in winner["seeds"]] == [scores.as_json() for scores in each]
        assert winner["mean"]["test"] == mean.as_json()
    assert not np.array_equal(arrays["tuned_1"], arrays["tuned_2"])


def test_a_report_reads_what_was_scored(scored: Run) -> None:
    study = load(scored.path)
    assert study.retested
    assert study.mean("tuned").test.accuracy.value > 0


def test_best_predicts_as_the_winner_that_it_is(scored: Run) -> None:
    note = json.loads((scored.best / "model.json").read_text())
    images = load_images("sample", limit=200)
    assert note["study"] == scored.name
    assert note["epoch"] == 1
    assert note["labels"] == ["FAKE", "REAL"]
    assert note["positive_class"] == "FAKE"
    assert note["data_fingerprint"] == images.fingerprint
    assert note["model"]["head_width"] == 12
    with np.load(scored.predictions_file) as stored:
        expected = stored[f"tuned_{note['seed']}"]
    np.testing.assert_allclose(load_detector(scored).p_fake(images.test.images), expected, atol=2e-3)


def test_validation_logits_are_those_of_each_retraining_on_the_images_that_validated(scored: Run) -> None:
    found, train = read_validation(scored), load_images("sample", limit=200).train
    assert found is not None
    assert read_tested(scored).validation_sha256 == hashlib.sha256(scored.validation_file.read_bytes()).hexdigest()
    rows = split_train(train, 0.5, 0).validation
    assert np.array_equal(found.labels, train.labels[rows])
    assert np.array_equal(found.names, train.table.names[rows])
    assert {role: sorted(seeds) for role, seeds in found.logits.items()} == {"tuned": [1, 2, 3], "baseline": [1, 2, 3]}
    seed = json.loads((scored.best / "model.json").read_text())["seed"]
    logits = load_detector(scored).logits(np.array(train.images)[rows])
    np.testing.assert_allclose(found.logits["tuned"][seed], logits, atol=1e-2)
    for winner in read_tested(scored).winners:
        for each in winner.seeds:
            right = (found.logits[winner.role][each.seed] > 0) == (found.labels == 0)
            assert right.mean() == pytest.approx(each.val_accuracy, abs=0.02)


def test_the_decision_in_best_follows_from_the_validation_logits(scored: Run) -> None:
    note, found = read_model_note(scored), read_validation(scored)
    assert found is not None
    assert note.seed is not None
    assert note.decision == decide(found.labels, found.logits["tuned"][note.seed])


def test_validation_logits_that_are_damaged_are_a_fault_of_the_results(copy_of: CopyOf) -> None:
    run = copy_of("cnn", scored=True)
    assert results_fault(run) is None
    run.validation_file.write_bytes(b"damaged")
    assert "val_predictions.npz: damaged" in (results_fault(run) or "")


@pytest.mark.parametrize(("accuracies", "chosen"), [([0.9, 0.7, 0.8], 3), ([0.7, 0.8, 0.9], 2), ([0.8, 0.8, 0.1], 1)])
def test_best_is_the_seed_with_the_median_validation_accuracy(
    copy_of: CopyOf, accuracies: list[float], chosen: int
) -> None:
    run = copy_of("cnn")
    fake_accuracies(run, accuracies)
    score_winners(run)
    assert json.loads((run.best / "model.json").read_text())["seed"] == chosen


def test_the_lower_one_of_two_seeds_is_kept(copy_of: CopyOf) -> None:
    run = copy_of("cnn")
    noted = json.loads(run.winners_file.read_text())
    noted["winners"][0]["seeds"].pop()
    run.winners_file.write_text(json.dumps(noted))
    fake_accuracies(run, [0.9, 0.8])
    score_winners(run)
    assert json.loads((run.best / "model.json").read_text())["seed"] == 2


def test_after_scoring_the_checkpoints_are_gone_and_a_second_time_does_nothing(scored: Run) -> None:
    assert not scored.winners.exists()
    assert not scored.winners_file.exists()
    before = files_of(scored)
    score_winners(scored)
    assert files_of(scored) == before


def test_what_was_measured_of_an_earlier_winner_is_set_aside_and_that_is_said(
    copy_of: CopyOf, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copy_of("cnn")
    run.best.mkdir()
    for file in (run.threshold_file, run.robustness_file, run.evaluations / "other.json", run.explanations / "0.png"):
        file.parent.mkdir(exist_ok=True)
        file.write_text("{}")
    score_winners(run)
    assert not [path.name for path in (run.threshold_file, run.robustness_file, run.evaluations, run.explanations)
                if path.exists()]  # fmt: skip
    assert (run.path / "superseded/1/evaluations/other.json").read_text() == "{}"
    assert "the best model changed" in capsys.readouterr().err


def test_a_run_without_winners_is_left_alone(copy_of: CopyOf) -> None:
    run = copy_of("cnn")
    run.winners_file.unlink()
    before = files_of(run)
    score_winners(run)
    assert files_of(run) == before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["write_bytes", "write_record", "Run.remove"])
def test_scoring_that_is_killed_is_done_by_the_next_call(
    copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch, step: str, after: bool
) -> None:
    run = copy_of("cnn")
    steps: dict[str, Callable[..., None]] = {
        "write_bytes": write_bytes, "write_record": write_record, "Run.remove": Run.remove
    }  # fmt: skip

    def killed(*values: Any, **options: Any) -> None:
        if after:
            steps[step](*values, **options)
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(f"{testing.__name__}.{step}", killed)
        with pytest.raises(KeyboardInterrupt):
            score_winners(run)
    score_winners(run)
    assert len(json.loads(run.test_file.read_text())["winners"]) == 2
    assert not run.winners_file.exists()
    assert evaluate_run(run).test_images == 50


def test_scoring_waits_for_no_other_writer(copy_of: CopyOf) -> None:
    run = copy_of("cnn")
    with run.update(), pytest.raises(InputError, match="another process is writing this run"):
        score_winners(run)
    assert not run.test_file.exists()


def test_a_baseline_whose_retrainings_all_failed_leaves_the_winner_scored(copy_of: CopyOf) -> None:
    run = copy_of("cnn")
    noted = json.loads(run.winners_file.read_text())
    noted["winners"][1] |= {"seeds": [], "failed": ["the training loss is nan"]}
    run.winners_file.write_text(json.dumps(noted))
    score_winners(run)
    tuned, baseline = json.loads(run.test_file.read_text())["winners"]
    assert set(tuned["mean"]["test"]) == METRICS
    assert "mean" not in baseline
    assert baseline["failed"] == ["the training loss is nan"]


def test_images_that_changed_since_are_refused(copy_of: CopyOf) -> None:
    run = copy_of("cnn")
    run.environment_file.write_text(json.dumps({"data": {"fingerprint": "of other images"}}))
    with pytest.raises(InputError, match="not those of"):
        score_winners(run)
    assert run.winners.is_dir()


@pytest.mark.parametrize("damage", [b"", b"\x80\x04cposix\nsystem\n", None])
def test_a_damaged_winner_is_one_line_and_nothing_is_written(copy_of: CopyOf, damage: bytes | None) -> None:
    run = copy_of("cnn")
    file = next(run.winners.glob("baseline-*3/best.safetensors"))
    file.unlink() if damage is None else file.write_bytes(damage)
    with pytest.raises(InputError, match=r"best\.safetensors: no readable checkpoint"):
        score_winners(run)
    assert not run.test_file.exists()


@pytest.mark.parametrize("damage", [b"", None])
def test_a_winner_that_is_lost_before_its_test_is_to_be_trained_again(copy_of: CopyOf, damage: bytes | None) -> None:
    run = copy_of("cnn")
    noted = json.loads(run.winners_file.read_text())["winners"]
    plan = [Retraining(w["role"], w["trial_id"], w["params"], s["seed"]) for w in noted for s in w["seeds"]]
    assert already_retrained(run, plan)
    file = next(run.winners.glob("tuned-*/best.safetensors"))
    file.unlink() if damage is None else file.write_bytes(damage)
    assert not already_retrained(run, plan)


# --- evaluate ----------------------------------------------------------------------------------------------------


def write_folder(folder: Path, train: np.ndarray, test: np.ndarray) -> Path:
    """A data folder whose FAKE and REAL images are these, alternately."""
    from PIL import Image

    for part, images in (("train", train), ("test", test)):
        for index, pixels in enumerate(images):
            place = folder / part / ("FAKE", "REAL")[index % 2]
            place.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(place / f"{index:04d}.png")
    return folder


def test_evaluate_on_its_own_data_gives_the_score_of_best_and_writes_nothing(scored: Run) -> None:
    before = files_of(scored)
    result = evaluate_run(scored)
    assert files_of(scored) == before
    note = json.loads((scored.best / "model.json").read_text())
    tuned = json.loads(scored.test_file.read_text())["winners"][0]
    expected = next(seed["test"] for seed in tuned["seeds"] if seed["seed"] == note["seed"])
    for key in METRICS:
        assert getattr(result.test, key).value == pytest.approx(expected[key]["value"], abs=1e-6)
    assert result.generated is True
    assert result.data == "sample"
    assert result.summary.startswith("sample: test part, 25 FAKE + 25 REAL")
    json.dumps(result.as_json(), allow_nan=False)


def test_evaluate_on_other_images_leaves_out_copies_of_what_the_model_was_trained_on(
    scored: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 32, 32, 3), dtype=np.uint8)
    trained_on = np.array(load_images("sample", limit=200).train.images[:8])
    folder = write_folder(tmp_path / "other", images[:12], np.concatenate((trained_on, images[20:])))
    (folder / "notes.txt").write_text("beside")
    result = evaluate_run(scored, str(folder))
    print_evaluation(result)
    told = capsys.readouterr().out.splitlines()
    assert "  not used: 1 file in no folder that names a class (notes.txt)" in told  # each a line of its own
    assert "  not used: 1 part that is not scored (train part)" in told
    assert result.data == str(folder)
    assert [left.examples for left in result.left] == [["notes.txt"], ["train part"]]
    assert result.generated is False
    assert result.test_images == 28
    assert result.duplicates_removed == 8
    assert result.at_threshold.images == 20
    assert result.test.accuracy != result.test_dedup.accuracy
    assert json.loads((scored.evaluations / "other.json").read_text())["at_threshold"] == result.at_threshold.as_json()


def test_evaluate_says_how_many_other_images_are_outside_what_the_model_knows(
    scored: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (20, 48, 64, 3), dtype=np.uint8)
    folder = write_folder(tmp_path / "large", pixels[:10], pixels)
    result = evaluate_run(scored, str(folder))
    reason = "64 x 48 px; the model knows images of 32 px"
    assert result.domain.as_json() == {"inside": 0, "outside": 20, "unknown": 0, "reason": reason}
    print_evaluation(result)
    said = capsys.readouterr().out
    assert (
        f"20 of 20 are outside what the model knows, and its answer to them means nothing; most often: {reason}" in said
    )
    (row,) = evaluations.build([load(scored.path)]).tables[0].rows  # the report says so beside the accuracy
    assert (row["Constant answer %"], row["Outside what the model knows"]) == ("50.00", "100.00 % (20)")
    note = json.loads((scored.best / "model.json").read_text())
    note["domain"]["images"] = 3
    (scored.best / "model.json").write_text(json.dumps(note))
    print_evaluation(evaluate_run(scored, str(folder)))
    assert "domain unknown: the model has 3 validation images, and 100 are needed" in capsys.readouterr().out


@pytest.mark.parametrize("label", ["FAKE", "REAL"])
def test_images_of_one_class_get_the_share_called_fake(
    label: str, scored: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = np.random.default_rng(2).integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    folder = write_folder(tmp_path / "one", images, images)
    shutil.rmtree(next(folder.rglob("REAL" if label == "FAKE" else "FAKE")))
    result = evaluate_run(scored, str(folder))
    json.dumps(result.as_json(), allow_nan=False)
    assert result.at_threshold.auc is None
    right = result.at_threshold.recognised_fake if label == "FAKE" else result.at_threshold.recognised_real
    assert right == result.test.accuracy.value
    print_evaluation(result)
    called = 100 * (right if label == "FAKE" else 1 - right)
    said = capsys.readouterr().out
    assert f"called FAKE        {called:.2f} % [" in said
    assert f"of 10 {label} images, the only class here" in said
    assert "AUC" not in said


def test_evaluate_on_nothing_but_copies_is_refused(copy_of: CopyOf, tmp_path: Path) -> None:
    run = copy_of("cnn", scored=True)
    images = np.array(load_images("sample", limit=200).train.images[:20])
    with pytest.raises(InputError, match="every image of it equals a train image"):
        evaluate_run(run, str(write_folder(tmp_path / "other", images, images)))


def test_evaluate_without_a_model_says_how_to_get_one(copy_of: CopyOf) -> None:
    with pytest.raises(InputError, match="no trained model there; finish the study with `cifake-ray tune --resume cnn"):
        evaluate_run(copy_of("cnn"))


def test_evaluate_of_no_run_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run directory"):
        evaluate_run(Run(tmp_path / "nothing"))

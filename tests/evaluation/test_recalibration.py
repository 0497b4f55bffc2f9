"""`evaluate --calibrate-on`: a decision by pictures of the user's own, what it changes, and where it is written."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.cli.show import print_evaluation
from cifake_ray.data import load_images
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.predict import predict_files
from cifake_ray.errors import InputError
from cifake_ray.evaluation.evaluate import evaluate_run
from cifake_ray.runs.run import Run

CopyOf = Callable[..., Run]


@pytest.fixture
def run(copy_of: CopyOf) -> Run:
    return copy_of("cnn", scored=True)


def pictures(folder: Path, first: int, last: int, side: int = 48) -> Path:
    """Test pictures of the whole sample, enlarged: `folder/FAKE` and `folder/REAL`."""
    test = load_images("sample").test
    for label, name in enumerate(("FAKE", "REAL")):
        (folder / name).mkdir(parents=True)
        for row in np.flatnonzero(test.labels == label)[first:last]:
            Image.fromarray(np.array(test.images[row])).resize((side, side)).save(folder / name / f"{row}.png")
    return folder


def test_other_pictures_give_a_decision_of_their_own_which_leaves_best_alone(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, more = pictures(tmp_path / "mine", 0, 60), pictures(tmp_path / "more", 60, 125)
    before = (run.best / "model.json").read_bytes()
    result = evaluate_run(run, str(mine), alpha=0.05, calibrate_on=str(more))
    found = result.recalibration
    assert found is not None
    assert (run.best / "model.json").read_bytes() == before
    assert found.images == {"FAKE": 65, "REAL": 65}
    assert found.decision.calibrated_on == "pictures of the user's own (more)"
    assert (found.decision.fake.images, found.decision.real.images) == (65, 65)
    assert result.domain.outside == 120  # of another size than the sample
    assert found.domain.outside < 20
    unsure = [next(row for row in rows if row.alpha == 0.05).real.unsure for rows in (result.verdicts, found.verdicts)]
    assert unsure[0] == 60
    assert unsure[1] < 60
    assert found.before is not None
    assert found.after is not None
    assert found.after.log_loss < found.before.log_loss + 0.1
    noted = json.loads((run.evaluations / "mine.json").read_text())
    assert noted["recalibration"] == found.as_json()
    print_evaluation(result)
    said = capsys.readouterr().out
    assert "verdicts at alpha 0.05:" in said
    assert f"calibrated on 65 FAKE + 65 REAL pictures of {more}:" in said
    assert f"calibration error {found.before.ece:.4f} -> {found.after.ece:.4f}" in said
    assert "best/ is unchanged; --keep puts this decision there" in said


def test_kept_it_decides_what_predict_says(run: Run, tmp_path: Path) -> None:
    mine, more = pictures(tmp_path / "mine", 0, 20), pictures(tmp_path / "more", 60, 125)
    file = str(next(mine.rglob("*.png")))
    (before,) = predict_files(run, [file], 0.05)
    result = evaluate_run(run, str(mine), calibrate_on=str(more), keep=True)
    (after,) = predict_files(run, [file], 0.05)
    assert before["verdict"] == "unsure"
    assert "48 x 48 px" in before["reasons"][0]
    assert (before["calibrated"], after["calibrated"]) == ("validation", "pictures of the user's own (more)")
    assert after["domain"] == "inside"
    assert before["p_fake"] == after["p_fake"]
    assert result.recalibration is not None
    assert result.recalibration.kept
    assert read_model_note(run).decision == result.recalibration.decision
    assert not run.verdicts_file.exists()


def test_pictures_that_are_judged_or_trained_on_do_not_calibrate(run: Run, tmp_path: Path) -> None:
    mine, more = pictures(tmp_path / "mine", 0, 20), pictures(tmp_path / "more", 10, 40)
    trained_on = np.array(load_images("sample", limit=200).train.images[0])
    Image.fromarray(trained_on).save(more / "FAKE" / "copy.png")
    result = evaluate_run(run, str(mine), calibrate_on=str(more))
    assert result.recalibration is not None
    assert result.recalibration.left_out == 20 + 1
    assert result.recalibration.images == {"FAKE": 20, "REAL": 20}
    with pytest.raises(InputError, match=r"no FAKE picture that is no copy of a train picture or of one in --data"):
        evaluate_run(run, str(mine), calibrate_on=str(mine))


def test_pictures_of_one_class_do_not_calibrate(run: Run, tmp_path: Path) -> None:
    mine, more = pictures(tmp_path / "mine", 0, 5), pictures(tmp_path / "more", 60, 70)
    shutil.rmtree(more / "REAL")
    with pytest.raises(InputError, match="no REAL picture; give pictures of both classes"):
        evaluate_run(run, str(mine), calibrate_on=str(more))


def test_the_runs_own_test_part_is_not_recalibrated(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not the run's own; name these by --data"):
        evaluate_run(run, calibrate_on=str(tmp_path))


def test_judged_pictures_of_one_class_are_compared_without_calibration_errors(run: Run, tmp_path: Path) -> None:
    mine, more = pictures(tmp_path / "mine", 0, 20), pictures(tmp_path / "more", 60, 100)
    shutil.rmtree(mine / "REAL")
    result = evaluate_run(run, str(mine), calibrate_on=str(more))
    assert result.recalibration is not None
    assert result.recalibration.before is None
    assert result.recalibration.after is None
    json.dumps(result.as_json(), allow_nan=False)

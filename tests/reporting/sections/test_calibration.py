"""Probabilities before and after calibration: what the table says follows from predictions and decision."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.special import expit, logit

from cifake_ray.detector.verdict import decide
from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections import calibration
from cifake_ray.stats.calibration import expected_calibration_error, log_loss

from ..conftest import MakeRun, store_predictions


def overconfident(run: Path, *, stored: bool = True) -> np.ndarray:
    """Predictions of a model three times too sure, and a decision by others like these; returns the honest logits."""
    rng = np.random.default_rng(0)
    honest = rng.normal(0, 1.5, (2, 2000))
    labels = np.where(rng.random((2, 2000)) < expit(honest), 0, 1).astype(np.uint8)
    logits = (3 * honest).astype(np.float32)
    arrays = {"labels": labels[0], "names": np.arange(2000).astype(str), "duplicate": np.arange(2000) < 10}
    for seed in (1, 2, 3):
        for role in ("tuned", "baseline"):
            arrays[f"{role}_{seed}"] = expit(logits[0].astype(np.float64)).astype(np.float32)
            arrays |= {f"logit_{role}_{seed}": logits[0]} if stored else {}
    store_predictions(run, arrays)
    (run / "best").mkdir()
    note = {"seed": 2, "decision": decide(labels[1], logits[1]).as_json()}
    (run / "best" / "model.json").write_text(json.dumps(note))
    return honest[0][10:]


@pytest.mark.parametrize("stored", [True, False])
def test_calibration_mends_a_model_that_is_too_sure(make_run: MakeRun, stored: bool) -> None:
    run = make_run()
    honest = overconfident(run, stored=stored)
    study = load(run)
    found = calibration.stated(study)
    assert found is not None
    assert found.before == pytest.approx(expit(3 * honest), abs=1e-6)
    assert np.corrcoef(found.after, expit(honest))[0, 1] > 0.999
    (table,) = calibration.build([study]).tables
    (row,) = table.rows
    assert row["Calibrated on"] == "validation"
    assert row["ECE before"] == f"{expected_calibration_error(found.labels, found.before):.4f}"
    assert row["Log loss after"] == f"{log_loss(found.labels, found.after):.4f}"
    assert float(str(row["ECE after"])) < 0.04 < float(str(row["ECE before"]))
    assert float(str(row["Log loss after"])) < float(str(row["Log loss before"]))


def test_calibrated_probabilities_are_converted_to_the_share_of_fake(make_run: MakeRun) -> None:
    run = make_run()
    overconfident(run)
    study = load(run)
    predictions, decision = study.predictions, study.records.calibrated.decision
    assert predictions is not None
    assert decision is not None
    found = calibration.stated(study)
    assert found is not None
    share = (predictions.labels == 0).mean()
    expected = decision.a * predictions.logits("tuned", 2) + decision.b + logit(share)
    assert found.after == pytest.approx(expit(expected))


def test_the_figure_has_a_line_before_and_one_after(make_run: MakeRun) -> None:
    run = make_run()
    overconfident(run)
    figure = calibration.calibration([load(run)])
    assert figure is not None
    _, before, after = figure.axes[0].lines

    def gap(line: object) -> float:
        x, y = (np.asarray(getattr(line, f"get_{axis}data")(), float) for axis in "xy")
        return float(np.abs(x - y).mean())

    assert gap(after) < gap(before)


def test_a_study_without_a_decision_has_no_row(make_run: MakeRun) -> None:
    section = calibration.build([load(make_run())])
    assert not section.tables
    assert section.title == ""

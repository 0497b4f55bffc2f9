"""What is drawn from test predictions: curves and tables that agree with scikit-learn and with counting."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

from cifake_ray.data.datasets.cifake import CARD
from cifake_ray.errors import InputError
from cifake_ray.reporting.importance import importances
from cifake_ray.reporting.load import load
from cifake_ray.reporting.panels import importance_table
from cifake_ray.reporting.predictions import Predictions, by_subject, confusion, reliability, roc

from .conftest import MakeRun


def drawn(seed: int = 0, count: int = 3000) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, count).astype(np.uint8)
    p_fake = np.clip(np.where(labels == 0, 0.65, 0.35) + rng.normal(0, 0.2, count), 0, 1).astype(np.float32)
    return Predictions(labels, np.zeros(len(labels), bool), None, {"tuned": {1: p_fake, 2: p_fake}})


def test_area_under_the_roc_curve_is_the_auc() -> None:
    predictions = drawn()
    false, true = roc(predictions, 1)
    assert len(false) <= 150
    assert (false[-1], true[-1]) == (1, 1)
    area = float(np.trapezoid(np.append(0, true), np.append(0, false)))
    assert area == pytest.approx(roc_auc_score(predictions.labels == 0, predictions.p_fake["tuned"][1]), abs=0.002)


def test_reliability_of_honest_probabilities_lies_on_the_diagonal() -> None:
    rng = np.random.default_rng(2)
    p_fake = rng.random(40_000).astype(np.float32)
    labels = np.where(rng.random(40_000) < p_fake, 0, 1).astype(np.uint8)
    stated, found = reliability(Predictions(labels, np.zeros(len(labels), bool), None, {"tuned": {1: p_fake}}))
    assert len(stated) == 10
    assert found == pytest.approx(stated, abs=0.03)


def test_confusion_counts_what_each_class_was_called() -> None:
    predictions = drawn()
    called = np.where(predictions.p_fake["tuned"][1] > 0.5, 0, 1)
    assert np.array_equal(confusion(predictions), confusion_matrix(predictions.labels, called))


def test_subjects_have_their_names_and_own_accuracy(make_run: MakeRun) -> None:
    predictions = load(make_run()).predictions
    assert predictions is not None
    found = by_subject(predictions, CARD.groups["subject"].values)
    assert list(found) == ["airplane", "bird"]
    assert found["bird"] == 1.0  # every tenth image is wrong, and those are airplanes
    assert found["airplane"] == pytest.approx(1 - 19 / 196)


def test_names_without_subjects_give_none() -> None:
    assert by_subject(drawn(), ()) == {}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04damaged", b"\x80\x04cposix\nsystem\n"])
def test_damaged_predictions_are_one_line(make_run: MakeRun, content: bytes) -> None:
    run = make_run()
    (run / "test_predictions.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        _ = load(run).predictions


def test_the_hyperparameter_that_decides_is_the_most_important(make_run: MakeRun) -> None:
    def change(rows: list[dict[str, object]]) -> None:
        for row in rows:
            row["val_accuracy"] = 0.9 - 0.01 * abs(float(np.log10(float(str(row["lr"])))) + 3)

    found = importances(load(make_run(trials=60, change=change)))
    assert next(iter(found)) == "lr"
    assert sum(found.values()) == pytest.approx(1)


def test_a_few_trials_have_no_importance(make_run: MakeRun) -> None:
    study = load(make_run(trials=5))
    assert importances(study) == {}
    assert importance_table([study]) == []

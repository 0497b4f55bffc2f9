"""What is read from test predictions."""

import numpy as np
import pytest

from cifake_ray.data.datasets.cifake import CARD
from cifake_ray.errors import InputError
from cifake_ray.reporting.load import load
from cifake_ray.reporting.predictions import Predictions, by_subject

from .conftest import MakeRun


def test_subjects_have_their_names_and_own_accuracy(make_run: MakeRun) -> None:
    predictions = load(make_run()).predictions
    assert predictions is not None
    found = by_subject(predictions, CARD.groups["subject"].values)
    assert list(found) == ["airplane", "bird"]
    assert found["bird"] == (1.0, 196)  # every tenth image is wrong, and those are airplanes
    assert found["airplane"] == pytest.approx((1 - 19 / 196, 196))


def test_names_without_subjects_give_none() -> None:
    unnamed = Predictions(np.zeros(2, np.uint8), np.zeros(2, bool), None, {"tuned": {1: np.ones(2)}})
    assert by_subject(unnamed, ()) == {}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04damaged", b"\x80\x04cposix\nsystem\n"])
def test_damaged_predictions_are_one_line(make_run: MakeRun, content: bytes) -> None:
    run = make_run()
    (run / "test_predictions.npz").write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        _ = load(run).predictions

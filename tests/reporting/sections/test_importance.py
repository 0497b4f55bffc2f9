"""Which hyperparameter mattered."""

import numpy as np
import pytest

from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections import importance
from cifake_ray.reporting.sections.importance import importances

from ..conftest import MakeRun


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
    assert importance.build([study]) is None

"""The comparison in the terminal."""

from cifake_ray.reporting.sections.accuracy import _LEAST_FIRST
from cifake_ray.reporting.writers.terminal import fitting


def test_a_narrow_terminal_gets_the_columns_that_matter_most() -> None:
    columns = ["study", "model", "role", "train %", "val %", "gap", "verdict", "test % [95 %]", "AUC", "gain, points"]
    row = ["cnn-deep", "cnn-deep", "tuned", "99.31", "97.72", "1.59", "no over- or underfitting",
           "97.83 [97.62, 98.03]", "0.9976", "+0.10 [+0.02, +0.18]"]  # fmt: skip
    for width in (60, 80, 100, 200):
        kept, rows = fitting(columns, [row], width, _LEAST_FIRST)
        assert {"study", "test % [95 %]", "gain, points"} <= set(kept)
        assert sum(len(cell) + 3 for cell in rows[0]) <= max(width, 60)
    assert fitting(columns, [row], 200, _LEAST_FIRST)[0] == columns

"""Plots: what is drawn for which data, and nothing shared between callers."""

from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from cifake_ray.reporting import plots, plots_scores, plots_search, plots_trials
from cifake_ray.reporting.figures import encode, inline_svg
from cifake_ray.reporting.load import load
from cifake_ray.reporting.tables import comparison_table

from .conftest import MakeRun

OF_STUDY = [
    plots.learning_curves, plots.trial_curves, plots.best_so_far, plots_search.hyperparameters, plots_trials.cost,
    plots_trials.timeline, plots_trials.parallel_coordinates,
]  # fmt: skip
OF_ALL = [plots_scores.roc_curves, plots_scores.reliabilities, plots_scores.subjects, plots_scores.robustness]


@pytest.mark.parametrize("plot", OF_STUDY)
def test_plot_without_data_is_left_out(make_run: MakeRun, plot: Any) -> None:
    assert plot(load(make_run(parts=""))) is None


@pytest.mark.parametrize("plot", OF_ALL)
def test_overview_plot_without_data_is_left_out(make_run: MakeRun, plot: Any) -> None:
    assert plot([load(make_run(parts=""))]) is None


def test_cost_adds_core_seconds_in_the_order_of_the_ends(make_run: MakeRun) -> None:
    figure = plots_trials.cost(load(make_run(trials=4)))
    assert figure is not None
    dots, best = figure.axes[0].lines
    assert np.asarray(dots.get_xdata()).tolist() == [10, 20, 30, 40]
    assert (np.diff(np.asarray(best.get_ydata(), float)) >= 0).all()


def test_timeline_has_as_many_rows_as_trials_ran_at_once(make_run: MakeRun) -> None:
    study = load(make_run(trials=9))
    assert plots_trials.places(study.timeline).max() == 1
    assert 0.9 < plots_trials.busy_share(study) <= 1


def test_left_out_subject_is_hollow(make_run: MakeRun) -> None:
    run = make_run()
    text = (run / "experiment.yaml").read_text()
    (run / "experiment.yaml").write_text(text.replace("leave_out: []", "leave_out: [bird]"))
    figure = plots_scores.subjects([load(run)])
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "#fefefe"]
    assert [float(np.asarray(line.get_xdata())[0]) for line in hollow] == [100.0]


def test_plots_leave_matplotlib_as_it_was(make_run: MakeRun) -> None:
    before = dict(mpl.rcParams)
    figure = plots.learning_curves(load(make_run()))
    assert figure is not None
    encode(figure, png=True)
    assert dict(mpl.rcParams) == before


def test_log_dimension_has_a_log_axis_and_choices_have_their_names(make_run: MakeRun) -> None:
    figure = plots_search.hyperparameters(load(make_run()))
    assert figure is not None
    lr, batch_size = figure.axes[:2]
    assert lr.get_xscale() == "log"
    assert [label.get_text() for label in batch_size.get_xticklabels()] == ["32", "64", "128", "256"]


def test_best_so_far_never_falls(make_run: MakeRun) -> None:
    figure = plots.best_so_far(load(make_run()))
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if line.get_label() == "best so far")
    values = np.asarray(line.get_ydata(), float)
    assert (np.diff(values) >= 0).all()
    assert values[0] == pytest.approx(93.0)


def test_winner_and_baseline_are_drawn_in_percent_as_means_over_seeds(make_run: MakeRun) -> None:
    figure = plots.learning_curves(load(make_run()))
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if line.get_label() == "tuned, validation")
    expected = 100 * (0.95 - 0.15 * np.exp(-0.9 * np.arange(1, 7)))
    assert np.asarray(line.get_ydata(), float) == pytest.approx(expected)


def test_diverged_trial_does_not_squeeze_the_others(make_run: MakeRun) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[5].update(val_accuracy=0.5)

    figure = plots.best_so_far(load(make_run(trials=40, change=change)))
    assert figure is not None
    assert figure.axes[0].get_ylim()[0] > 90


def test_claims_are_hollow_in_the_comparison(make_run: MakeRun) -> None:
    figure = plots_search.comparison(comparison_table([load(make_run())]))
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "#fefefe"]
    assert sorted(float(np.asarray(line.get_xdata())[0]) for line in hollow) == pytest.approx([88, 92, 92.98, 96, 98])


def test_inline_svg_has_own_ids_and_page_colours(make_run: MakeRun) -> None:
    figure = plots.learning_curves(load(make_run()))
    assert figure is not None
    svg = inline_svg(encode(figure, png=False)[0], "f3", "Learning curves")
    assert 'id="f3-' in svg
    assert 'aria-label="Learning curves"' in svg
    assert "var(--blue)" in svg
    assert "DOCTYPE" not in svg

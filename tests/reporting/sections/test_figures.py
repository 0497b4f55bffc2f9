"""Plots: what is drawn for which data, and nothing shared between callers."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from cifake_ray.experiment import parse_yaml, validate_experiment
from cifake_ray.reporting.figures import DRAWINGS, encode, inline_svg
from cifake_ray.reporting.load import Study, load
from cifake_ray.reporting.sections import timeline
from cifake_ray.reporting.sections.accuracy import comparison
from cifake_ray.reporting.sections.cost import cost
from cifake_ray.reporting.sections.curves import baseline_level, best_so_far, learning_curves
from cifake_ray.reporting.sections.hyperparameters import hyperparameters
from cifake_ray.reporting.sections.probabilities import roc
from cifake_ray.reporting.sections.robustness import build as degraded_section
from cifake_ray.reporting.sections.robustness import degraded, delivery, robustness
from cifake_ray.reporting.sections.subjects import subjects
from cifake_ray.runs.records import TIER, Interval, Robustness, RobustnessRow

from ..conftest import MakeRun, robustness_of

OF_STUDY = [drawing for drawing in DRAWINGS.values() if drawing.of_study]
ROOT = Path(__file__).parents[3]
REAL_RUNS = [*sorted((ROOT / "results" / "studies").iterdir()),
             *(ROOT / "tests" / "runs" / "v0.1" / name for name in ("finished", "frozen", "interrupted"))]  # fmt: skip
OF_ALL = [drawing for drawing in DRAWINGS.values() if not drawing.of_study]


@pytest.mark.parametrize("plot", OF_STUDY, ids=lambda plot: plot.name)
def test_plot_without_data_is_left_out(make_run: MakeRun, plot: Any) -> None:
    assert plot(load(make_run(parts=""))) is None


@pytest.mark.parametrize("plot", [one for one in OF_ALL if one is not comparison], ids=lambda plot: plot.name)
def test_overview_plot_without_data_is_left_out(make_run: MakeRun, plot: Any) -> None:
    assert plot([load(make_run(parts=""))]) is None


def test_cost_adds_core_seconds_in_the_order_of_the_ends(make_run: MakeRun) -> None:
    figure = cost(load(make_run(trials=4)))
    assert figure is not None
    dots, best = figure.axes[0].lines
    assert np.asarray(dots.get_xdata()).tolist() == [10, 20, 30, 40]
    assert (np.diff(np.asarray(best.get_ydata(), float)) >= 0).all()


def test_timeline_has_as_many_rows_as_trials_ran_at_once(make_run: MakeRun) -> None:
    study = load(make_run(trials=9))
    assert timeline.slots(study.timeline).max() == 1
    assert 0.9 < timeline.busy_share(study) <= 1


def test_left_out_subject_is_hollow(make_run: MakeRun) -> None:
    run = make_run()
    text = (run / "experiment.yaml").read_text()
    (run / "experiment.yaml").write_text(text.replace("leave_out: {}", "leave_out: [bird]"))
    figure = subjects([load(run)])
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "#fefefe"]
    assert [float(np.asarray(line.get_xdata())[0]) for line in hollow] == [100.0]


def test_a_small_subject_shows_its_count_and_interval_only(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cifake_ray.reporting.sections.subjects.by_subject",
                        lambda *_: {"airplane": (0.9, 200), "bird": (0.5, 12)})  # fmt: skip
    figure = subjects([load(make_run())])
    assert figure is not None
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["airplane", "bird (12)"]
    drawn = [np.asarray(line.get_xdata(), float).tolist() for line in axes.lines if len(line.get_xdata())]
    assert [90.0] in drawn
    assert [50.0] not in drawn
    assert any(len(span) == 2 and span[0] == pytest.approx(25.38, abs=0.01) for span in drawn)


def test_left_out_subjects_of_few_images_have_no_accuracy_in_the_table() -> None:
    accuracy = Interval(value=0.5, low=0.25, high=0.75)
    rows = [RobustnessRow(kind="left out", name="left out of training: bird", images=12, accuracy=accuracy),
            RobustnessRow(kind="seen", name="other subjects", images=20, accuracy=accuracy)]  # fmt: skip
    table = degraded({"cnn": Robustness(test_images=32, rows=rows)}, of_subjects=True)
    assert [row["cnn (32 images)"] for row in table] == ["12 images, [25.00, 75.00]", "50.00 [25.00, 75.00]"]


def test_plots_leave_matplotlib_as_it_was(make_run: MakeRun) -> None:
    before = dict(mpl.rcParams)
    figure = learning_curves(load(make_run()))
    assert figure is not None
    encode(figure, png=True)
    assert dict(mpl.rcParams) == before


def test_log_dimension_has_a_log_axis_and_choices_have_their_names(make_run: MakeRun) -> None:
    figure = hyperparameters(load(make_run()))
    assert figure is not None
    lr, batch_size = figure.axes[:2]
    assert lr.get_xscale() == "log"
    assert [label.get_text() for label in batch_size.get_xticklabels()] == ["32", "64", "128", "256"]


def test_best_so_far_never_falls(make_run: MakeRun) -> None:
    figure = best_so_far(load(make_run()))
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if line.get_label() == "best so far")
    values = np.asarray(line.get_ydata(), float)
    assert (np.diff(values) >= 0).all()
    assert values[0] == pytest.approx(93.0)


def test_winner_and_baseline_are_drawn_in_percent_as_means_over_seeds(make_run: MakeRun) -> None:
    figure = learning_curves(load(make_run()))
    assert figure is not None
    line = next(line for line in figure.axes[0].lines if line.get_label() == "tuned, validation")
    expected = 100 * (0.95 - 0.15 * np.exp(-0.9 * np.arange(1, 7)))
    assert np.asarray(line.get_ydata(), float) == pytest.approx(expected)


def test_diverged_trial_does_not_squeeze_the_others(make_run: MakeRun) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[5].update(val_accuracy=0.5)

    figure = best_so_far(load(make_run(trials=40, change=change)))
    assert figure is not None
    assert figure.axes[0].get_ylim()[0] > 90


def test_claims_are_hollow_in_the_comparison(make_run: MakeRun) -> None:
    figure = comparison([load(make_run())])
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "#fefefe"]
    assert sorted(float(np.asarray(line.get_xdata())[0]) for line in hollow) == pytest.approx([88, 92, 92.98, 96, 98])


def test_inline_svg_has_own_ids_and_page_colours(make_run: MakeRun) -> None:
    figure = learning_curves(load(make_run()))
    assert figure is not None
    svg = inline_svg(encode(figure, png=False)[0], "f3", "Learning curves")
    assert 'id="f3-' in svg
    assert 'aria-label="Learning curves"' in svg
    assert "var(--blue)" in svg
    assert "DOCTYPE" not in svg


@pytest.mark.parametrize(
    ("low", "high"),
    [(1e-3, 1e-2), (2e-4, 4e-3), (1e-5, 1e-1), (64, 512), (1e-3, 2e-3), (32, 33), (1e-6, 10), (8, 8192)],
)
def test_labels_of_log_axes_are_round_and_do_not_overlap(make_run: MakeRun, low: float, high: float) -> None:
    run = make_run()
    study = load(run)
    kind = "int" if isinstance(low, int) else "float"
    name = "head_width" if kind == "int" else "lr"
    text = (run / "experiment.yaml").read_text()
    tree = parse_yaml(text, "x")
    tree["search_space"] = {name: {"type": kind, "low": low, "high": high, "log": True}}
    tree["model" if kind == "int" else "training"][name] = low
    study = replace(study, experiment=validate_experiment(tree, "x"))
    if name not in study.trials:
        study = replace(study, trials=study.trials.assign(**{name: np.linspace(low, high, len(study.trials))}))
    figure = hyperparameters(study)
    assert figure is not None
    figure.canvas.draw()
    panel = figure.axes[0]
    boxes = [label.get_window_extent() for label in panel.get_xticklabels() if label.get_text()]
    assert len(boxes) >= 2
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    values = [float(label.get_text()) for label in panel.get_xticklabels()]
    assert {f"{value:e}"[0] for value in values} <= {"1", "2", "5"} or values == [low, high]


def test_the_baseline_stands_where_it_ended_and_not_where_it_was_cut_off(make_run: MakeRun) -> None:
    def cut(rows: list[dict[str, Any]]) -> None:
        rows[0].update(status="stopped", val_accuracy=0.5)

    level = baseline_level(load(make_run(change=cut)))
    assert level is not None
    assert level > 0.9
    assert baseline_level(load(make_run("early", change=cut, parts="trials"))) is None


def test_a_legend_has_no_entry_for_what_no_trial_is(make_run: MakeRun) -> None:
    def all_through(rows: list[dict[str, Any]]) -> None:
        for row in rows:
            row.update(status="completed")

    figure = hyperparameters(load(make_run(change=all_through)))
    assert figure is not None
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["completed", "best", "baseline"]


def test_curves_of_winner_and_baseline_differ_without_colour(make_run: MakeRun) -> None:
    figure = learning_curves(load(make_run()))
    assert figure is not None
    looks = {(line.get_marker(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == len(figure.axes[0].lines) == 4


def test_roc_shows_the_part_in_which_the_curves_differ(make_run: MakeRun) -> None:
    figure = roc([load(make_run())])
    assert figure is not None
    panel = figure.axes[0]
    assert panel.get_xlim()[0] == pytest.approx(0.1)
    assert panel.get_ylim()[0] > 60  # the fixture's models are good


def written(figure: Figure) -> list[Text]:
    """What is to be read in a figure, laid out."""
    figure.canvas.draw()
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text)]
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def drawn(studies: list[Study]) -> list[Figure]:
    figures = [plot(study) for study in studies for plot in OF_STUDY] + [plot(studies) for plot in OF_ALL]
    return [figure for figure in figures if figure is not None]


@pytest.mark.parametrize("run", REAL_RUNS, ids=lambda run: run.name)
def test_all_text_lies_within_the_figure_and_none_over_another(run: Path) -> None:
    assert_readable(load(run))


SPACES: dict[str, dict[str, Any]] = {
    "stages": {"stages": {"type": "categorical", "choices": [["stem", "layer1", "layer2"], ["layer1"], ["layer2"]]}},
    "words": {"optimizer": {"type": "categorical", "choices": ["adam", "adamw", "sgd"]}},
    "numbers": {"batch_size": {"type": "categorical", "choices": [16, 32, 64, 128, 256, 512]}},
    "tiny": {"lr": {"type": "float", "low": 1e-8, "high": 1e-1, "log": True}},
    "linear": {"label_smoothing": {"type": "float", "low": 0.0, "high": 0.0123}},
}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_any_search_space_is_drawn_readably(make_run: MakeRun, space: dict[str, Any]) -> None:
    run = make_run(kind="resnet50")
    study, tree = load(run), parse_yaml((run / "experiment.yaml").read_text(), "x")
    tree["search_space"] |= space
    changed = validate_experiment(tree, "x")
    rng = np.random.default_rng(0)
    trials = study.trials
    for name, dimension in changed.search_space.items():
        values = [str(choice) for choice in dimension.choices] if dimension.type == "categorical" else None
        column = rng.choice(values, len(trials)) if values else rng.uniform(*dimension.bounds, len(trials))
        trials = trials.assign(**{name: column})
    assert_readable(replace(study, experiment=changed, trials=trials))


def assert_readable(study: Study) -> None:
    """All text of the study's plots is within its figure, and none covers another."""
    for figure in drawn([study]):
        boxes = {text: text.get_window_extent() for text in written(figure) if shown(text, figure)}
        for text, box in boxes.items():
            assert box.x0 >= -1, text
            assert box.y0 >= -1, text
            assert box.x1 <= figure.bbox.width + 1, text
            assert box.y1 <= figure.bbox.height + 1, text
        for one, other in itertools.combinations(boxes, 2):
            assert not boxes[one].padded(-1).overlaps(boxes[other].padded(-1)), (one, other)


def shown(text: Text, figure: Figure) -> bool:
    """Whether it is drawn: labels of ticks outside the limits exist and are not."""
    hidden = [axes for axes in figure.axes if not axes.get_visible()]
    if any(text in axes.findobj(Text) for axes in hidden):
        return False
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            slack = 1e-9 * max(abs(low), abs(high))
            for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
                if text in (tick.label1, tick.label2):
                    return bool(low - slack <= tick.get_loc() <= high + slack)
    return True


def test_many_studies_with_long_names_fit_into_the_legends(make_run: MakeRun) -> None:
    studies = [load(make_run(f"a-rather-long-name-of-a-study-{place}")) for place in range(7)]
    figures = [plot(studies) for plot in OF_ALL]
    for figure in filter(None, figures):
        for text in written(figure):
            if shown(text, figure):
                assert text.get_window_extent().x1 <= figure.bbox.width + 1, text
        tops = [axes.get_tightbbox().y1 for axes in figure.axes if axes.get_visible()]
        assert all(legend.get_window_extent().y0 >= max(tops) - 6 for legend in figure.legends)


@pytest.mark.parametrize("plot", [one for one in OF_STUDY if one is not learning_curves], ids=lambda plot: plot.name)
def test_a_single_trial_has_no_plot_of_its_search(make_run: MakeRun, plot: Any) -> None:
    if plot is not hyperparameters:
        assert plot(load(make_run(trials=1))) is None


def test_other_numbers_of_degraded_images_are_in_the_legend(make_run: MakeRun) -> None:
    studies = [load(make_run(name)) for name in ("one", "two")]
    measured = [robustness_of({"as they are": 0.9}) | {"test_images": count} for count in (1_000, 20_000)]
    counted = [
        replace(study, records=replace(study.records, robustness=Robustness.parse(noted)))
        for study, noted in zip(studies, measured, strict=True)
    ]
    for chosen, names in ((counted, ["one (1,000 images)", "two (20,000 images)"]), (counted[:1], ["one"])):
        figure = robustness(chosen)
        assert figure is not None
        assert [text.get_text() for text in figure.legends[0].get_texts()] == names


def test_delivery_tiers_have_a_figure_of_their_own_and_stay_out_of_the_other(make_run: MakeRun) -> None:
    noted = robustness_of({"as they are": 0.9, "blur": 0.6, "web": 0.8, "hard": 0.7})
    for row in noted["rows"][2:]:
        row["kind"] = TIER
    plain, measured = load(make_run("plain")), load(make_run("measured"))
    plain = replace(plain, records=replace(plain.records, robustness=Robustness.parse(robustness_of({"blur": 0.6}))))
    measured = replace(measured, records=replace(measured.records, robustness=Robustness.parse(noted)))
    for figure, names in (
        (delivery([plain, measured]), ["as they are", "web", "hard"]),
        (robustness([plain, measured]), ["blur", "as they are"]),
    ):
        assert figure is not None
        assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == names
    assert delivery([plain]) is None
    (caveat,) = degraded_section([measured]).caveats
    assert "falls from 90.0 to 60.0 % (blur)" in caveat


def test_claims_are_in_the_legend_only_where_there_are_any(make_run: MakeRun) -> None:
    for generated, claims in ((False, True), (True, False)):
        study = load(make_run(str(generated), generated=generated))
        figure = comparison([study])
        assert figure is not None
        names = [text.get_text() for text in figure.legends[0].get_texts()]
        assert ("hollow *: claim of others" in names) is claims

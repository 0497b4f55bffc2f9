"""The comparison: what each model reached in training, validation and test, as a table and as a figure."""

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from cifake_ray.reporting.comparison import RANDOM_NOTE, baseline_rows, comparison_table, main_rows
from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.formatting import (
    NOTHING,
    Row,
    decimal,
    headline_test,
    interval,
    known,
    percent,
    signed,
    whole,
    with_interval,
)
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Cell, Section, Small, Table
from cifake_ray.reporting.style import BLUE, CARD, INK, MUTED, VERMILLION, legend_above, new_figure, percent_axis
from cifake_ray.reporting.winners import validation_auc

# Columns in the order in which a narrow terminal does without them.
_LEAST_FIRST = ("core-s", "train %", "gap", "balanced %", "model", "verdict", "constant %", "AUC", "val %", "role")
_SPLITS = (("train", "training", "^", MUTED), ("val", "validation", "s", VERMILLION), ("test", "test", "o", BLUE))


def build(studies: Sequence[Study]) -> Section:
    """One row a study, then claims of others; baselines in a table of their own; all of it as comparison.csv."""
    frame = comparison_table(studies)
    rows, baselines = main_rows(frame), [baseline_cells(row) for row in baseline_rows(frame)]
    table = Table(
        [accuracy_cells(row) for row in rows],
        look="comparison",
        page=[_page_cells(row) for row in rows],
        kinds=[str(row["role"]) for row in rows],
        terminal=[_terminal_cells(row) for row in rows],
        expendable=_LEAST_FIRST,
    )
    return Section(
        "Accuracy",
        tables=[table, *([Table(baselines, title="Baselines", terminal=())] if baselines else [])],
        figures=(comparison,),
        page_title="Comparison",
        anchor="comparison",
        data={"comparison.csv": frame},
        caveats=[caveat for study in studies if (caveat := _turned(study))],
    )


def _turned(study: Study) -> str:
    """A model that orders validation images worse than chance; "" for others."""
    winner = study.outcome("tuned")
    found = validation_auc(winner) if winner else math.nan
    if not found < 0.5:
        return ""
    return f"{study.name}: the validation AUC is {decimal(found)}, below 0.5, worse than chance."


def role_words(row: Row) -> str:
    """`tuned`, `trained`, `baseline`, or `reference (claim)`."""
    return "reference (claim)" if row["role"] == "reference" else str(row["role"])


def accuracy_cells(row: Row) -> dict[str, str]:
    """What the row reached, as text cells."""
    return {
        "Study": str(row["study"]),
        "Model": str(row["model"]),
        "Role": role_words(row),
        "Train %": with_interval(row["train_accuracy"], row["train_low"], row["train_high"]),
        "Validation %": with_interval(row["val_accuracy"], row["val_low"], row["val_high"]),
        "Gap, points": percent(row["gap"], 2),
        "Verdict": str(row["verdict"]),
        "Test %": with_interval(headline_test(row), row["test_low"], row["test_high"]),
        "Gain, points": signed(row["gain"], row["gain_low"], row["gain_high"]),
        "Constant answer %": percent(row["constant_test"]),
        "Balanced %": percent(row["balanced_accuracy"]),
        "Test images": whole(row["test_images"]),
        "Test %, all images": percent(row["test_accuracy"]),
        "AUC": decimal(row["auc"]),
        "F1 (FAKE)": decimal(row["f1_fake"]),
        "ECE": decimal(row["ece"]),
    }


def baseline_cells(row: Row) -> dict[str, str]:
    """Cells of a baseline: the model that its study's tuned one is compared with."""
    cells = accuracy_cells(row)
    names = ("Study", "Model", "Train %", "Validation %", "Verdict", "Test %", "Balanced %", "AUC")
    return {name: cells[name] for name in names}


def _terminal_cells(row: Row) -> dict[str, str]:
    """Cells for the terminal: percent, test without duplicates of train images."""
    cells = accuracy_cells(row)
    return {
        "study": cells["Study"],
        "model": cells["Model"] + ("" if row["weights"] in ("none", "pretrained") else f" ({row['weights']})"),
        "role": cells["Role"],
        "train %": percent(row["train_accuracy"]),
        "val %": percent(row["val_accuracy"]),
        "gap": cells["Gap, points"],
        "verdict": cells["Verdict"],
        "test % [95 %]": cells["Test %"],
        "constant %": cells["Constant answer %"],
        "balanced %": cells["Balanced %"],
        "AUC": cells["AUC"],
        "gain, points": cells["Gain, points"],
        "core-s": whole(row["core_seconds"]),
    }


def _page_cells(row: Row) -> dict[str, str | Cell]:
    """Cells for the page: fewer columns, which hold the others as smaller texts."""
    cells = accuracy_cells(row)
    gain, _, limits = cells["Gain, points"].partition(" ")
    reason = row["verdict_reason"] if known(row["verdict_reason"]) else ""
    return {
        "Study": Cell(cells["Study"], (Small(_model_words(row), "wrap"),), tag=cells["Role"], study=cells["Study"]),
        "Train %": _measured(row, "train", row["train_accuracy"]),
        "Validation %": _measured(row, "val", row["val_accuracy"]),
        "Gap, points": Cell(cells["Gap, points"], (Small(cells["Verdict"], "wrap", hint=reason),)),
        "Test %": _measured(row, "test", headline_test(row), *_test_details(row)),
        "Gain, points": Cell(gain, [Small(limits)] if limits else [], strong=False, empty=gain == NOTHING),
        **{name: cells[name] for name in ("Constant answer %", "Balanced %", "AUC")},
        "F1 of FAKE": cells["F1 (FAKE)"],
        "ECE": cells["ECE"],
    }


def _model_words(row: Row) -> str:
    """The model and its weights, where it has any."""
    weights = RANDOM_NOTE if row["weights"] == "random" else "" if row["weights"] == "none" else row["weights"]
    return f"{row['model']}, {weights}" if weights else str(row["model"])


def _measured(row: Row, split: str, value: Any, *details: str) -> Cell:
    """An accuracy, its interval below it, then details."""
    limits = interval(row[f"{split}_low"], row[f"{split}_high"])
    small = [Small(text) for text in (limits, *details) if text]
    return Cell(percent(value), small, empty=not known(value))


def _test_details(row: Row) -> list[str]:
    """Accuracy on all test images, and the number of test images, as far as known."""
    everything = f"all images: {percent(row['test_accuracy'])}" if known(row["test_accuracy"]) else ""
    images = f"{whole(row['test_images'])} images" if known(row["test_images"]) else ""
    return [everything if row["role"] != "reference" else "", images]


@overview_figure(
    "comparison",
    "Training, validation and test accuracy of every row, with 95 % intervals; test without duplicates of train "
    "images.",
    title="All models",
    png=True,
)
def comparison(studies: Sequence[Study]) -> Figure | None:
    """Training, validation and test accuracy with 95 % intervals, a band for each row; claims of others hollow."""
    frame = comparison_table(studies)
    rows = frame[frame[["train_accuracy", "val_accuracy", "test_accuracy"]].notna().any(axis=1)]
    if rows.empty:
        return None
    height = 0.95 + 0.46 * len(rows)
    figure, axes = new_figure(height, left=1.55)
    panel = axes[0, 0]
    for band, row in enumerate(rows.to_dict("records")):
        _draw_row(panel, band, {str(key): value for key, value in row.items()})
    several = rows.loc[rows["role"] != "reference", "data"].nunique() > 1
    panel.set_yticks(range(len(rows)), [_row_label(row, several) for row in rows.to_dict("records")], fontsize=8)
    panel.yaxis.set_major_locator(FixedLocator(range(len(rows))))
    panel.set_ylim(len(rows) - 0.45, -0.55)
    panel.grid(axis="y", visible=False)
    panel.set_xlabel("accuracy (%), 95 % interval")
    percent_axis(panel.xaxis)
    _comparison_legend(figure, claims=bool((rows["role"] == "reference").any()))
    return figure


def _draw_row(axes: Axes, band: int, row: dict[str, Any]) -> None:
    if band % 2:
        axes.axhspan(band - 0.5, band + 0.5, color=MUTED, alpha=0.1, linewidth=0)
    claim = row["role"] == "reference"
    for offset, (split, _, marker, colour) in zip((-0.24, 0.0, 0.24), _SPLITS, strict=True):
        value, low, high = _values(row, split)
        if math.isnan(value):
            continue
        y = band + offset
        axes.plot([100 * low, 100 * high], [y, y], color=colour, linewidth=1.6)
        axes.plot([100 * value], [y], marker=marker, markersize=5.5, color=colour, linestyle="",
                  markerfacecolor=CARD if claim else colour, markeredgewidth=1.3)  # fmt: skip


def _values(row: dict[str, Any], split: str) -> tuple[float, float, float]:
    """(value, low, high) of a split; test is the headline: without duplicates where that is measured."""
    value = row[f"{split}_accuracy"]
    if split == "test" and not math.isnan(row["test_accuracy_dedup"]):
        value = row["test_accuracy_dedup"]
    return value, row[f"{split}_low"], row[f"{split}_high"]


def set_name(row: Row) -> str:
    """The set of images of a row: the title of its card, or the name of the folder; and how many of its images."""
    name, *rest = str(row["data"]).split(", ")
    return ", ".join([name, *(part for part in rest if part.endswith("images of train"))])


def _row_label(row: dict[Any, Any], several: bool) -> str:
    """`several`: whether rows are on several sets of images, so that each names its set."""
    name = row["study"] if row["role"] != "reference" else f"{row['study']} *"
    second = row["role"] if row["role"] != "reference" else row["model"]
    if row["generated"] is True:
        second += " (sample)"
    elif several and row["role"] != "reference":
        second += f", {set_name(row)}"
    return f"{_short(name)}\n{_short(second)}"


def _short(text: str) -> str:
    return text if len(text) <= 22 else text[:21] + "…"


def _comparison_legend(figure: Figure, *, claims: bool) -> None:
    dot: dict[str, Any] = {"linestyle": "", "markersize": 5.5}
    handles = [Line2D([], [], marker=marker, color=colour, label=name, **dot) for _, name, marker, colour in _SPLITS]
    if claims:
        handles.append(
            Line2D([], [], marker="o", markerfacecolor=CARD, markeredgecolor=INK, label="hollow *: claim of others",
                   **dot)
        )  # fmt: skip
    legend_above(figure, handles)

"""What each model cost, and on which images; what a search had found after so much CPU time."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from cifake_ray.reporting.comparison import baseline_rows, comparison_table, main_rows
from cifake_ray.reporting.figures import study_figure
from cifake_ray.reporting.formatting import Row, known, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import best_until, good_end
from cifake_ray.reporting.section import Section, Table, figures_alone
from cifake_ray.reporting.sections.accuracy import role_words
from cifake_ray.reporting.style import MANY, MUTED, VERMILLION, legend_above, new_figure, robust_limits


def build(studies: Sequence[Study]) -> Section:
    """A row for each model; the page has a row for each line of its comparison, which says its role."""
    frame = comparison_table(studies)
    measured = [row for row in [*main_rows(frame), *baseline_rows(frame)] if row["role"] != "reference"]
    page = [{name: cell for name, cell in cost_cells(row).items() if name != "Role"} for row in main_rows(frame)]
    table = Table([cost_cells(row) for row in measured], page=page)
    return Section("Cost and data", tables=(table,), page_title="What each took, and on which images", minor=True)


def cost_cells(row: Row) -> dict[str, str]:
    """What the row took and on what it was measured, as text cells."""
    return {
        "Study": str(row["study"]),
        "Role": role_words(row),
        "Weights": str(row["weights"]),
        "Params trained / total": f"{whole(row['params_trained'])} / {whole(row['params_total'])}",
        "Trials run / stopped / failed": " / ".join(whole(row[key]) for key in ("trials", "stopped", "failed")),
        "Epochs": whole(row["epochs"]),
        "Seeds": whole(row["seeds"]),
        "Core-seconds": whole(row["core_seconds"]),
        "Data": str(row["data"]),
        "Note": str(row["note"]) if known(row["note"]) else "",
    }


@study_figure(
    "cost",
    "What the search had found after so much CPU time; trials in the order of their ends.",
    title="What the search cost",
)
def cost(study: Study) -> Figure | None:
    """The best so far against the core-seconds of all trials until then, in the order of their ends; None for one."""
    metric = study.experiment.search.metric
    trials = study.trials[study.trials[metric].notna() & (study.trials["status"] != "failed")]
    trials = trials[trials["cpu_seconds"].notna()]
    if len(trials) < 2:
        return None
    ended = study.timeline.groupby("trial_id")["end"].max()
    order = ended.reindex(trials["trial_id"].to_numpy(float)).to_numpy(float)
    trials = trials.iloc[np.argsort(order, kind="stable")]  # an end that is not noted (NaN) comes last
    values = trials[metric].to_numpy(float) * metric.scale
    best = best_until(metric, values)
    spent = trials["cpu_seconds"].cumsum().to_numpy(float)
    figure, axes = new_figure(3.0)
    panel = axes[0, 0]
    panel.plot(
        spent, values, linestyle="", marker="o", markersize=3, color=MUTED, label="trial", rasterized=len(spent) > MANY
    )
    panel.step(spent, best, where="post", color=VERMILLION, label="best so far")
    panel.set_xlim(0, spent[-1] * 1.02)
    robust_limits(panel, values.tolist(), keep=good_end(metric))
    panel.set(xlabel="core-seconds of all trials until its end", ylabel=metric.axis)
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


of_study = figures_alone(cost)

"""The Pareto front of a study with a second objective, as a table and in words."""

import math

import pandas as pd

from cifake_ray.reporting.load import Study

LABELS = {"parameters": "trained parameters", "inference_ms": "inference time (ms per image, one thread)"}


def pareto_front(study: Study) -> pd.DataFrame:
    """The trials that none beats in one objective without losing in the other, cheapest first; rows of trials.csv.

    A stopped trial stands with what it had reached, failed ones are left out; of equals the earlier one is kept. Empty
    without a second objective or results.
    """
    trials, metric = measured_trials(study), study.experiment.search.metric
    if trials.empty:
        return trials
    second = str(study.experiment.search.second_objective)
    ordered = trials.sort_values([second, metric, "trial_id"], ascending=[True, metric == "val_loss", True])
    gain = ordered[metric] if metric == "val_accuracy" else -ordered[metric]
    before = gain.cummax().shift(fill_value=-math.inf)
    return ordered[gain > before].reset_index(drop=True)


def measured_trials(study: Study) -> pd.DataFrame:
    """The trials that have both objectives and did not fail."""
    second = study.experiment.search.second_objective
    if second is None:
        return study.trials.iloc[:0]
    ranked = study.ranked()
    return ranked[ranked[second].notna()]


def front_table(study: Study) -> pd.DataFrame:
    """The front for readers: trial, status, both objectives, and the searched values that any of its trials has."""
    front, search = pareto_front(study), study.experiment.search
    if front.empty:
        return front
    names = ["trial_id", "status", str(search.second_objective), search.metric, *study.dimensions]
    return front[names].dropna(axis="columns", how="all")


def front_sentence(study: Study) -> str:
    """What the front is, and which of its ends was retrained; empty without a front."""
    front, search = pareto_front(study), study.experiment.search
    if front.empty:
        return ""
    found = (
        f"{len(front)} of {len(measured_trials(study))} trials are not beaten in both {metric_name(search.metric)} and "
    )
    return (
        f"{found}{LABELS[str(search.second_objective)]}. The winner is the one with the best {search.metric}; the "
        "others were trained once and not tested, so their order is within the noise of one training. Early stopping "
        f"looks at {search.metric} alone: a stopped trial stands with what it had reached."
    )


def metric_name(metric: str) -> str:
    return "validation accuracy" if metric == "val_accuracy" else "validation loss"

"""Which trials are stopped early: ASHA, asynchronous Hyperband, the median rule, or none.

The baseline is judged like the others and never stopped. Every scheduler sees the search's trials alone: retrainings,
whose config has no trial_id, run to their last epoch. (A result always has a trial_id: Tune adds its own name of the
trial.) No scheduler pauses a trial, so none needs a checkpoint of Tune's.
"""

import math
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from cifake_ray.experiment import Experiment, Metric
from cifake_ray.ray_private import forget_stop, median_results, put_in_bracket
from cifake_ray.tuning.record import StudyRecord, TrialRow

_GOLDEN = (math.sqrt(5) - 1) / 2  # its multiples modulo 1 fill every share evenly, whatever their number


@dataclass(frozen=True)
class SearchTrial:
    """What a scheduler reads of Tune's trial, where Tune has none: in a replay, or for a trial that has ended."""

    trial_id: str
    number: int

    @property
    def config(self) -> dict[str, Any]:
        return {"trial_id": self.number}


class _SearchOnly(TrialScheduler):  # type: ignore[misc]
    """Mixed into a scheduler: hides retrainings, and reports without an epoch (failures), from the scheduler."""

    def on_trial_add(self, controller: Any, trial: Any) -> None:
        if trial.config["trial_id"] is not None:
            super().on_trial_add(controller, trial)

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if trial.config["trial_id"] is None or "epoch" not in result:
            return str(self.CONTINUE)
        decision = str(super().on_trial_result(controller, trial, result))
        return str(self.CONTINUE) if trial.config["trial_id"] == 0 else decision  # every gain is measured against it

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        if trial.config["trial_id"] is not None and "epoch" in result:
            super().on_trial_complete(controller, trial, result)

    def on_trial_remove(self, controller: Any, trial: Any) -> None:
        if trial.config["trial_id"] is not None:
            super().on_trial_remove(controller, trial)

    def recall(self, trial: SearchTrial, results: list[dict[str, Any]]) -> None:
        """Take in what a trial had reported before the study was resumed."""
        self.on_trial_add(None, trial)
        for result in results:
            self.on_trial_result(None, trial, result)


class _SearchHalving(_SearchOnly, AsyncHyperBandScheduler):  # type: ignore[misc]
    """Asynchronous successive halving; with several brackets, Hyperband.

    Ray draws a trial's bracket at random, another one in each process; here the bracket follows from the trial's
    number, so that a study can be repeated and resumed.
    """

    def on_trial_add(self, controller: Any, trial: Any) -> None:  # noqa: ARG002
        number = trial.config["trial_id"]
        if number is not None:
            put_in_bracket(self, trial.trial_id, partial(bracket_of, number))


class _SearchMedian(_SearchOnly, MedianStoppingRule):  # type: ignore[misc]
    """The median rule. An epoch reported again (its process had died) is not counted again."""

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        forget_stop(self, trial)  # the baseline, which this rule would have stopped, continues to be judged
        known = median_results(self).get(trial)
        if known and "epoch" in result and result["epoch"] <= known[-1]["epoch"]:
            return str(self.CONTINUE)
        return super().on_trial_result(controller, trial, result)

    def on_trial_complete(self, controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Nothing: Tune gives the last report a second time, which the rule would count twice."""

    def recall(self, trial: SearchTrial, results: list[dict[str, Any]]) -> None:
        """Decide nothing: Ray's rule fails on reports of a trial that it would have stopped."""
        median_results(self)[trial].extend(results)


def count_brackets(experiment: Experiment) -> int:
    """Hyperband's brackets: one for each rung (grace_epochs x reduction_factor^k epochs) to stop at; 1 for ASHA."""
    if experiment.search.scheduler != "hyperband":
        return 1
    rung, rungs = experiment.search.grace_epochs, 0
    while rung <= experiment.training.epochs:
        rung, rungs = rung * experiment.search.reduction_factor, rungs + 1
    return rungs


def bracket_of(number: int, brackets: int, factor: float) -> int:
    """The bracket of a trial: 0 stops earliest and has most trials, the last one (almost) none.

    Shares as in Hyperband (Li et al. 2018, algorithm 1): bracket s of S has ceil(S / (s + 1) * factor^s) trials.
    """
    sizes = [math.ceil(brackets / (s + 1) * factor**s) for s in reversed(range(brackets))]
    point = (number + 0.5) * _GOLDEN % 1 * sum(sizes)
    return sum(point >= end for end in accumulate(sizes[:-1]))


def build_scheduler(experiment: Experiment, record: StudyRecord | None = None) -> TrialScheduler:
    """The experiment's scheduler, with the results of a resumed study's finished trials."""
    search, epochs = experiment.search, experiment.training.epochs
    if search.scheduler == "none":
        return FIFOScheduler()
    mode, grace = search.metric.mode, min(search.grace_epochs, epochs)
    scheduler: _SearchOnly
    if search.scheduler == "median":  # compares the best of a trial with the others' means: it takes the plain metric
        # it would pause trials while there are too few to compare with, unless they must run for ever first
        scheduler = _SearchMedian("epoch", search.metric, mode, grace_period=grace, min_time_slice=math.inf)
    else:
        scheduler = _SearchHalving(
            "epoch", f"best_{search.metric}", mode, max_t=epochs, grace_period=grace,
            reduction_factor=search.reduction_factor, brackets=count_brackets(experiment),
        )  # fmt: skip
    for row in record.with_status("completed", "stopped") if record else []:
        scheduler.recall(SearchTrial(f"finished-{row.trial_id}", row.trial_id), _reports(row, search.metric))
    return scheduler


def _reports(row: TrialRow, metric: Metric) -> list[dict[str, Any]]:
    """What the trial reported after each epoch, the best so far with it."""
    values = [epoch[metric] for _, epoch in sorted(row.curve.items())]
    best = accumulate(values, lambda so_far, value: metric.best((so_far, value)))
    return [
        {"epoch": e, metric: v, f"best_{metric}": b} for e, v, b in zip(sorted(row.curve), values, best, strict=True)
    ]

"""Which trials are stopped early: ASHA over the search, or none."""

from types import SimpleNamespace
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, TrialScheduler

from cifake_ray.experiment import Experiment
from cifake_ray.tuning.record import StudyRecord


class _SearchASHA(ASHAScheduler):  # type: ignore[misc]
    """ASHA over the trials of the search; retrainings, whose config has no trial_id, run to their end.

    (A result always has one: Tune puts its own name of the trial in.)
    """

    def on_trial_result(self, controller: Any, trial: Any, result: dict[str, Any]) -> str:
        if trial.config["trial_id"] is None:
            return str(self.CONTINUE)
        return str(super().on_trial_result(controller, trial, result))


def build_scheduler(experiment: Experiment, record: StudyRecord | None = None) -> TrialScheduler:
    """ASHA on the best metric so far, told what the finished trials of a resumed study had reached; or none."""
    search = experiment.search
    if search.scheduler == "none":
        return FIFOScheduler()
    scheduler = _SearchASHA(
        time_attr="epoch",
        metric=f"best_{search.metric}",
        mode="max" if search.metric == "val_accuracy" else "min",
        max_t=experiment.training.epochs,
        grace_period=min(search.grace_epochs, experiment.training.epochs),
        reduction_factor=search.reduction_factor,
    )
    for row in record.with_status("completed", "stopped") if record else []:
        trial = SimpleNamespace(trial_id=f"finished-{row.trial_id}", config={"trial_id": row.trial_id})
        scheduler.on_trial_add(None, trial)
        best = None
        for _, epoch in sorted(row.curve.items()):
            value = epoch[search.metric]
            better = max if search.metric == "val_accuracy" else min
            best = value if best is None else better(best, value)
            scheduler.on_trial_result(None, trial, epoch | {f"best_{search.metric}": best})
    return scheduler

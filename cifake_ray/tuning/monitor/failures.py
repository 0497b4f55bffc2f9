"""Trials whose process died: with its node, for want of memory, or by itself. Only a death by itself costs a retry."""

import contextlib
import time
from pathlib import Path
from typing import Any

import ray

from cifake_ray.console import warn
from cifake_ray.ray_private import node_of_trial
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.trial.context import OUT_OF_MEMORY, OUT_OF_MEMORY_REASON

_SHORT_OF_MEMORY = "low on memory"  # in Ray's words
_SEEN_SECONDS = 60.0  # after its connections Ray may need so long to give up a node
_LOOK_SECONDS = 1.0


class ProcessFailures(StudyCallback):
    """Records in `deaths` how a trial's process died last, and restores retries that Tune should not have counted."""

    def __init__(self, record: StudyRecord) -> None:
        self.record, self.workers = record, record.experiment.resources.workers_per_trial > 0
        self._nodes: dict[str, set[str]] = {}  # name of a trial -> where it runs
        self._suspects: list[
            tuple[Any, set[str], float]
        ] = []  # Tune's trial, nodes, until when to look whether one is lost
        self._looked = 0.0

    def trial_started(self, trial: RunningTrial) -> None:
        """Note where the trial runs; workers of the trial may be on any node."""
        if self.workers:
            self._nodes[trial.name] = _alive()
            return
        with contextlib.suppress(KeyError, AttributeError):  # the trial is gone again already
            self._nodes[trial.name] = {node_of_trial(trial.handle)}

    def process_died(self, trial: RunningTrial) -> None:
        """Tune is about to start the trial again; Tune counts this death, and starts a trial again three times."""
        tunes, deaths = trial.handle, self.record.deaths
        folder, error = tunes.config["folder"], last_error(tunes)
        if _SHORT_OF_MEMORY in error:
            deaths[trial.name] = OUT_OF_MEMORY_REASON
            self.record.run.mark(f"{folder}/{OUT_OF_MEMORY}")  # started again, it reports this and trains no more
            tunes.run_metadata.num_failures = tunes.max_failures
            return
        reason = error.splitlines()[-1].strip()[:200] if error else "no reason was given"
        deaths[trial.name] = f"its process died again and again: {reason}"
        warn(f"{folder}: its process died; the trial resumes from its last epoch")
        if nodes := self._nodes.get(trial.name):
            self._suspects.append((tunes, nodes, time.monotonic() + _SEEN_SECONDS))

    def step_ended(self) -> None:
        """Restore the retry of trials whose node is lost: Ray reports a lost node only seconds after a lost process."""
        now = time.monotonic()
        if not self._suspects or now - self._looked < _LOOK_SECONDS:
            return
        self._looked = now
        alive, left = _alive(), []
        for trial, nodes, until in self._suspects:
            if lost := nodes - alive:
                trial.run_metadata.num_failures -= 1
                text = f"{trial.config['folder']}: node {min(lost)[:8]} was lost with it, so it costs no retry"
                warn(text)
            elif now < until:
                left.append((trial, nodes, until))
        self._suspects = left


def _alive() -> set[str]:
    return {node["NodeID"] for node in ray.nodes() if node["Alive"]}


def last_error(trial: Any) -> str:
    """Tune's text of the trial's last failure. (Tune's `get_error` reads a copy that is made only later.)"""
    file = trial.error_file
    if file is None or not Path(file).is_file():
        return ""
    entry = Path(file).read_text(errors="replace").rpartition("Failure # ")[2]
    return entry.partition("\n")[2].strip()

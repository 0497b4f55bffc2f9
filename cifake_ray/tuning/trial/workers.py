"""A trial in data-parallel workers of `TorchTrainer`, which end before the trial's process does."""

import contextlib
import queue
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ray import train
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback

from cifake_ray.ray_private import take_report, trial_session
from cifake_ray.runs.run import Run
from cifake_ray.tuning.ray_cluster.capacity import Capacity
from cifake_ray.tuning.trial.context import Loop, Stopped, TrialContext

# Tune ends a trial by ending its process, and then the workers' placement group is never freed and every later trial
# waits for ever (ray-project/ray#54305; Ray's own remedy, #58515, needs the dashboard). So the trial's process
# stops its workers by a file beside their checkpoints, and lets `TorchTrainer.fit` return before it ends.

_WORKERS_END_SECONDS = 120  # an epoch and the workers' shutdown; a trial that takes longer is ended by force
_stop: tuple[Run, str] | None = None  # the file of the trial that this process runs


class EndsWorkers:
    """Mixed into the trainable: before the process ends or takes the next trial, the workers of this one finish."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        _end_workers()
        return bool(super().reset_config(new_config))  # type: ignore[misc]

    def cleanup(self) -> None:
        _end_workers()
        super().cleanup()  # type: ignore[misc]


def _end_workers() -> None:
    """Request the workers' stop and wait for their end; take the reports they still send, as the queue holds one."""
    session = trial_session()
    if _stop is None or session is None:
        return
    run, name = _stop
    run.mark(name)
    session.finish(timeout=0)  # tells the training thread that the trial is over, and does not wait
    deadline = time.monotonic() + _WORKERS_END_SECONDS
    while session.training_thread.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            take_report(session, timeout=0.2)


def _stop_requested(run: Run, name: str) -> bool:
    """Whether any rank sees the file; all ranks get the same answer, or they would wait for each other."""
    seen = torch.tensor(float(run.marked(name)))
    if dist.is_initialized():
        seen = seen.to("cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
    return bool(seen.item())


def run_distributed(context: TrialContext, config: dict[str, Any], loop: Loop) -> None:
    """Data-parallel workers; rank 0's reports reach Tune through the callback."""
    global _stop  # noqa: PLW0603 (one trial a process, and its end comes from outside the function)
    stop = f"{config['folder']}/stop"
    _stop = (context.run.here(), stop)
    _stop[0].remove(stop)
    resources = context.experiment.resources

    def worker() -> None:
        def report(row: dict[str, Any]) -> None:
            train.report(row)
            if _stop_requested(context.run.here(), stop):
                raise Stopped

        with contextlib.suppress(Stopped):
            loop(context, config, report)

    with tempfile.TemporaryDirectory(prefix="cifake-ray-") as storage:
        trainer = TorchTrainer(
            worker,
            scaling_config=train.ScalingConfig(
                num_workers=resources.workers_per_trial,
                use_gpu=resources.gpus_per_trial > 0,
                resources_per_worker=Capacity(context.experiment).worker,
            ),
            run_config=train.RunConfig(
                name=Path(config["folder"]).name, storage_path=storage, callbacks=[TuneReportCallback()]
            ),
        )
        trainer.fit()

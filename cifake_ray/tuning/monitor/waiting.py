"""How long a study waits on a busy cluster for a trial to start."""

from cifake_ray.features import free_resources
from cifake_ray.patience import Patience
from cifake_ray.runs.columns import Status
from cifake_ray.runs.resume import resume_command
from cifake_ray.tuning.monitor.callback import RunningTrial, StudyCallback
from cifake_ray.tuning.ray_cluster.capacity import Capacity
from cifake_ray.tuning.record import StudyRecord


class StartPatience(StudyCallback):
    """Prints a line a minute while no trial runs, and raises WorkError after `resources.wait_s` seconds without one."""

    def __init__(self, record: StudyRecord, capacity: Capacity) -> None:
        self.capacity = capacity
        self.live: set[str] = set()
        self.patience = Patience(
            self._what,
            record.experiment.resources.wait_s,
            f"resume with: {resume_command(record.run.name, record.run.storage)}",
        )

    def trial_started(self, trial: RunningTrial) -> None:
        self.live.add(trial.name)

    def process_died(self, trial: RunningTrial) -> None:
        self.live.discard(trial.name)

    def trial_ended(self, trial: RunningTrial, status: Status, reason: str) -> None:  # noqa: ARG002
        self.live.discard(trial.name)

    def step_ended(self) -> None:
        if self.live:
            self.patience.moved()
        else:
            self.patience.look()

    def _what(self) -> str:
        request = self.capacity.request.items()
        what = " and ".join(f"{wanted:g} {kind}{'' if wanted == 1 else 's'}" for kind, wanted in request)
        return f"a trial to start, which requests {what}, {free_resources()}"

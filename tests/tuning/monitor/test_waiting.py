"""How long a study waits for a trial to start."""

import pytest

from cifake_ray.errors import WorkError
from cifake_ray.tuning.monitor import waiting
from cifake_ray.tuning.monitor.callback import RunningTrial
from cifake_ray.tuning.monitor.waiting import StartPatience
from cifake_ray.tuning.ray_cluster.capacity import Capacity

from ..conftest import OpenRecord, experiment_of


def test_a_study_gives_up_only_while_no_trial_runs(open_record: OpenRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "free_resources", lambda: "of 2 CPUs 0 are free")
    experiment = experiment_of(resources={"wait_s": 1e-9, "cpus_per_trial": 2, "gpus_per_trial": 0.5})
    patience, trial = StartPatience(open_record(experiment), Capacity(experiment)), RunningTrial("0", 0, {}, 0)
    patience.trial_started(trial)
    patience.step_ended()
    patience.process_died(trial)
    words = r"for a trial to start, which requests 2 CPUs and 0.5 GPUs, of 2 CPUs 0 are free; resume with: "
    with pytest.raises(WorkError, match=words):
        patience.step_ended()

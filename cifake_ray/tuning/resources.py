"""What a study asks of the machine or cluster: trials at once, and requests that cannot be met."""

import contextlib
import os
import time

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Resources

_LOOK_SECONDS = 5.0  # between two looks at what the cluster has
DRIVER_CPUS = 0.001  # of the process that waits for a trial's workers; Ray 2.60 raises at 0


def local_capacity() -> dict[str, float]:
    """CPUs this process may use, and visible GPUs, without starting Ray."""
    import torch

    return {"CPU": float(len(os.sched_getaffinity(0))), "GPU": float(torch.cuda.device_count())}


def cluster_capacity(experiment: Experiment) -> dict[str, float]:
    """What the connected Ray cluster leaves for trials, once every waiting process has its share."""
    import ray

    found: dict[str, float] = ray.cluster_resources()
    waiting = DRIVER_CPUS / experiment.resources.cpus_per_trial if experiment.resources.workers_per_trial else 0.0
    return {"CPU": found.get("CPU", 0.0) / (1 + waiting), "GPU": found.get("GPU", 0.0)}


def trial_bundle(resources: Resources) -> dict[str, float]:
    """What a trial's own process takes; with workers it only waits for them."""
    if resources.workers_per_trial:
        return {"CPU": DRIVER_CPUS}
    gpus = {"GPU": resources.gpus_per_trial} if resources.gpus_per_trial else {}
    return {"CPU": float(resources.cpus_per_trial), **gpus}


def trial_request(resources: Resources) -> dict[str, float]:
    """CPUs and GPUs of one trial, all its workers together."""
    count = max(resources.workers_per_trial, 1)
    return {"CPU": float(resources.cpus_per_trial * count), "GPU": resources.gpus_per_trial * count}


def max_concurrent(experiment: Experiment, capacity: dict[str, float]) -> int:
    """How many trials run at once. Raises InputError when not even one fits, or more are asked for than fit."""
    request = trial_request(experiment.resources)
    for kind, wanted in request.items():
        if wanted > capacity.get(kind, 0.0) + 1e-9:
            workers = " or workers_per_trial" if experiment.resources.workers_per_trial > 1 else ""
            raise InputError(
                f"resources: one trial asks for {wanted:g} {kind}s and there are {capacity.get(kind, 0.0):.3g}; lower "
                f"{kind.lower()}s_per_trial{workers}"
            )
    fitting = min(int(capacity[kind] / wanted + 1e-9) for kind, wanted in request.items() if wanted)
    asked = experiment.resources.max_concurrent
    if asked == "auto":
        return fitting
    if asked > fitting:
        raise InputError(f"resources.max_concurrent: {asked} trials at once do not fit, {fitting} do; set auto or less")
    return asked


class Places:
    """How many trials run at once. On a cluster with `max_concurrent: auto` that follows nodes that join and leave."""

    def __init__(self, experiment: Experiment, *, own: bool) -> None:
        self.experiment = experiment
        self.fixed = own or experiment.resources.max_concurrent != "auto"
        self.number = max_concurrent(experiment, local_capacity() if own else cluster_capacity(experiment))
        self._looked = time.monotonic()

    def __call__(self) -> int:
        if not self.fixed and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            with contextlib.suppress(InputError):  # not one fits now: those that run wait for a node, as Tune does
                self.number = max_concurrent(self.experiment, cluster_capacity(self.experiment))
        return self.number


def check_workers(experiment: Experiment) -> None:
    """Raise InputError when a batch is too small to be shared among the workers of a trial."""
    smallest = experiment.training.batch_size
    if (dimension := experiment.search_space.get("batch_size")) is not None:
        smallest = min(dimension.choices if dimension.type == "categorical" else dimension.bounds)  # type: ignore[assignment]
    if experiment.resources.workers_per_trial > smallest // 2:
        raise InputError(
            f"resources.workers_per_trial: {experiment.resources.workers_per_trial} workers cannot share a batch of "
            f"{smallest} (two images each at least); raise batch_size"
        )

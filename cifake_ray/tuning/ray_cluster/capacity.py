"""What a study asks of the machine or cluster: trials at once, and requests that cannot be met."""

import contextlib
import time
from collections.abc import Mapping, Sequence

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Resources
from cifake_ray.machine import cores

_LOOK_SECONDS = 5.0  # between two looks at what the cluster has
DRIVER_CPUS = 0.001  # of the process that waits for a trial's workers; Ray 2.60 raises at 0


def local_capacity(*, gpus: bool = True) -> dict[str, float]:
    """CPUs this process may use, and visible GPUs, without starting Ray; without `gpus` none, nor torch's import."""
    found = 0
    if gpus:
        import torch

        found = torch.cuda.device_count()
    return {"CPU": float(cores()), "GPU": float(found)}


def cluster_nodes() -> list[dict[str, float]]:
    """CPUs and GPUs of every live node of the connected Ray cluster."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [{kind: float(resources.get(kind, 0.0)) for kind in ("CPU", "GPU")} for resources in found]


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


def max_concurrent(experiment: Experiment, nodes: Sequence[Mapping[str, float]], *, own: bool = True) -> int:
    """How many trials run at once on nodes with these CPUs and GPUs; a trial, or each of its workers, needs one node.

    `own`: a Ray of this process, which has room for the processes that wait for workers; on other clusters their share
    takes a worker's place on any node without CPUs to spare. Raises InputError when not even one trial fits, or more
    are asked for than fit.
    """
    resources, asked = experiment.resources, experiment.resources.max_concurrent
    one = {"CPU": float(resources.cpus_per_trial), "GPU": resources.gpus_per_trial}
    slots = [_fitting(node, one) for node in nodes]
    if resources.workers_per_trial:
        full = sum(node["CPU"] - slot * one["CPU"] < 0.5 for node, slot in zip(nodes, slots, strict=True))
        fitting = _shared_out(sum(slots), resources.workers_per_trial, 0 if own else full)
    else:
        fitting = sum(slots)
    if not fitting:
        raise InputError(_nothing_fits(resources, one, nodes))
    if asked == "auto":
        return fitting
    if asked > fitting:
        raise InputError(f"resources.max_concurrent: {asked} trials at once do not fit, {fitting} do; set auto or less")
    return asked


def _fitting(node: Mapping[str, float], one: Mapping[str, float]) -> int:
    return min(int(node.get(kind, 0.0) / wanted + 1e-9) for kind, wanted in one.items() if wanted)


def _shared_out(slots: int, workers: int, full: int) -> int:
    """The most trials of so many workers, each with a waiting process that may take a slot of one of the full nodes."""
    trials = slots // workers
    while trials and trials * workers + min(trials, full) > slots:
        trials -= 1
    return trials


def _nothing_fits(resources: Resources, one: Mapping[str, float], nodes: Sequence[Mapping[str, float]]) -> str:
    count = max(resources.workers_per_trial, 1)
    workers = " or workers_per_trial" if count > 1 else ""
    for kind, wanted in one.items():
        there = [node.get(kind, 0.0) for node in nodes]
        cure = f"lower {kind.lower()}s_per_trial{workers}"
        if wanted * count > sum(there) + 1e-9 and (count > 1 or len(there) < 2):
            return f"resources: one trial asks for {wanted * count:g} {kind}s and there are {sum(there):.3g}; {cure}"
        if wanted > max(there, default=0.0) + 1e-9:
            return f"resources: one trial asks for {wanted:g} {kind}s and no node has more than {max(there):g}; {cure}"
    what = " and ".join(f"{wanted:g} {kind}s" for kind, wanted in one.items() if wanted)
    each = f"each of its {count} workers" if count > 1 else "one trial"
    return f"resources: {each} asks for {what} on one node, which the nodes do not have; lower cpus_per_trial{workers}"


class Slots:
    """How many trials run at once. On a cluster with `max_concurrent: auto` that follows nodes that join and leave."""

    def __init__(self, experiment: Experiment, *, own: bool) -> None:
        self.experiment = experiment
        self.fixed = own or experiment.resources.max_concurrent != "auto"
        self.number = max_concurrent(experiment, [local_capacity()] if own else cluster_nodes(), own=own)
        self._looked = time.monotonic()

    def __call__(self) -> int:
        if not self.fixed and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            with contextlib.suppress(InputError):  # not one fits now: those that run wait for a node, as Tune does
                self.number = max_concurrent(self.experiment, cluster_nodes(), own=False)
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

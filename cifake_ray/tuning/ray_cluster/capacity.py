"""What a study requests of Ray, and how much of that the machine or the cluster has."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.machine import cores

_LOOK_SECONDS = 5.0  # between two looks at what the cluster has
DRIVER_CPUS = 0.001  # of the process that waits for a trial's workers; Ray 2.60 raises at 0

Node = Mapping[str, float]  # CPUs and GPUs by Ray's names


def local_node(*, gpus: bool = True) -> Node:
    """CPUs this process may use, and visible GPUs, without starting Ray; without `gpus` none, nor torch's import."""
    found = 0
    if gpus:
        import torch

        found = torch.cuda.device_count()
    return {"CPU": float(cores()), "GPU": float(found)}


def cluster_nodes() -> list[Node]:
    """CPUs and GPUs of every live node of the connected Ray cluster."""
    import ray

    found = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return [{kind: float(resources.get(kind, 0.0)) for kind in ("CPU", "GPU")} for resources in found]


@dataclass(frozen=True)
class Capacity:
    """What one trial of the experiment requests, and how many trials the nodes hold at once.

    nodes: CPUs and GPUs of each; None while unknown. own: the nodes are a Ray of this process, which has room for the
    processes that wait for workers; on other clusters such a process takes a worker's slot on any node without CPUs to
    spare. Raises InputError when a trial's workers cannot share a batch, and, where the nodes are
    known, when not even one trial fits or `resources.max_concurrent` is more than fit.
    """

    experiment: Experiment
    nodes: Sequence[Node] | None = None
    own: bool = True

    def __post_init__(self) -> None:
        self._check_batch()
        if self.nodes is not None:
            self.trials  # noqa: B018 (refuses what does not fit)

    @classmethod
    def here(cls, experiment: Experiment) -> "Capacity":
        """Capacity of this machine, without starting Ray; torch is imported only for trials that take a GPU."""
        return cls(experiment, [local_node(gpus=experiment.resources.gpus_per_trial > 0)])

    @classmethod
    def connected(cls, experiment: Experiment) -> "Capacity":
        """Capacity of the Ray cluster that this process is connected to."""
        return cls(experiment, cluster_nodes(), own=False)

    @property
    def worker(self) -> dict[str, float]:
        """CPUs and GPUs of a trial, or of each of its workers: what must fit on one node."""
        resources = self.experiment.resources
        gpus = {"GPU": resources.gpus_per_trial} if resources.gpus_per_trial else {}
        return {"CPU": float(resources.cpus_per_trial), **gpus}

    @property
    def bundle(self) -> dict[str, float]:
        """CPUs and GPUs of a trial's own process, which with workers only waits for them."""
        return {"CPU": DRIVER_CPUS} if self.experiment.resources.workers_per_trial else self.worker

    @property
    def request(self) -> dict[str, float]:
        """CPUs and GPUs of one trial, all its workers together."""
        return {kind: wanted * self._processes for kind, wanted in self.worker.items()}

    @cached_property
    def trials(self) -> int:
        """Trials that run at once on the known nodes."""
        fitting, limit = self._fitting(), self.experiment.resources.max_concurrent
        if not fitting:
            raise self._nothing_fits()
        if limit == "auto":
            return fitting
        if limit > fitting:
            raise InputError(
                f"resources.max_concurrent: {limit} trials at once do not fit, {fitting} do", "set auto or less"
            )
        return limit

    @property
    def _processes(self) -> int:
        return max(self.experiment.resources.workers_per_trial, 1)

    def _fitting(self) -> int:
        nodes, workers = self.nodes or (), self.experiment.resources.workers_per_trial
        slots = [
            min(int(node.get(kind, 0.0) / wanted + 1e-9) for kind, wanted in self.worker.items()) for node in nodes
        ]
        if not workers:
            return sum(slots)
        cpus = self.worker["CPU"]
        full = sum(node["CPU"] - slot * cpus < 0.5 for node, slot in zip(nodes, slots, strict=True))
        return _shared_out(sum(slots), workers, 0 if self.own else full)

    def _nothing_fits(self) -> InputError:
        count = self._processes
        workers = " or workers_per_trial" if count > 1 else ""
        for kind, wanted in self.worker.items():
            there = [node.get(kind, 0.0) for node in self.nodes or ()]
            cure = f"lower {kind.lower()}s_per_trial{workers}"
            if wanted * count > sum(there) + 1e-9 and (count > 1 or len(there) < 2):
                needs = f"resources: one trial requests {wanted * count:g} {kind}s"
                return InputError(f"{needs} and there are {sum(there):.3g}", cure)
            if wanted > max(there, default=0.0) + 1e-9:
                needs = f"resources: one trial requests {wanted:g} {kind}s"
                return InputError(f"{needs} and no node has more than {max(there):g}", cure)
        what = " and ".join(f"{wanted:g} {kind}s" for kind, wanted in self.worker.items())
        each = f"each of its {count} workers" if count > 1 else "one trial"
        needs = f"resources: {each} requests {what} on one node, which the nodes do not have"
        return InputError(needs, f"lower cpus_per_trial{workers}")

    def _check_batch(self) -> None:
        smallest, workers = self.experiment.training.batch_size, self.experiment.resources.workers_per_trial
        if (dimension := self.experiment.search_space.get("batch_size")) is not None:
            smallest = min(dimension.choices if dimension.type == "categorical" else dimension.bounds)  # type: ignore[assignment]
        if workers > smallest // 2:
            raise InputError(
                f"resources.workers_per_trial: {workers} workers cannot share a batch of "
                f"{smallest} (two images each at least)",
                "raise batch_size",
            )


def _shared_out(slots: int, workers: int, full: int) -> int:
    """The most trials of so many workers, each with a waiting process that may take a slot of one of the full nodes."""
    trials = slots // workers
    while trials and trials * workers + min(trials, full) > slots:
        trials -= 1
    return trials


class Slots:
    """How many trials run at once; `max_concurrent: auto` follows nodes that join and leave the cluster."""

    def __init__(self, experiment: Experiment, *, own: bool) -> None:
        self.capacity = Capacity.here(experiment) if own else Capacity.connected(experiment)
        self.fixed = own or experiment.resources.max_concurrent != "auto"
        self._looked = time.monotonic()

    def __call__(self) -> int:
        if not self.fixed and time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            with contextlib.suppress(InputError):  # no trial fits now: running ones wait for a node, as Tune does
                self.capacity = Capacity.connected(self.capacity.experiment)
        return self.capacity.trials

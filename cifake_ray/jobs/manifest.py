"""Kubernetes manifests for KubeRay, as text: a RayJob that runs one study, a RayCluster to submit studies to."""

import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import PurePosixPath

import jinja2

from cifake_ray import __version__
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES, Experiment, save_experiment, validate_experiment

SHARED = "/shared"  # where pods mount the shared claim
CLAIM = "cifake-ray-shared"
_NAME_LENGTH = 47  # KubeRay refuses longer names of RayJobs: it appends to them
_SLOTS = 4  # processes of a CPU pod when the experiment does not say how many run at once
_GIB_PER_SLOT = 2  # a training process with torch takes about 1 GiB, one that extracts features more
_GIB_PER_POD = 4  # Ray itself and its object store
_DEADLINE_HOURS = 24
_HOURS_AFTER_BUDGET = 2  # preparing the data, retraining the winners and testing them come on top of the budget


@dataclass(frozen=True)
class Group:
    """One kind of worker pod: how many, and what each takes (whole CPUs and GPUs, GiB)."""

    name: str
    replicas: int
    cpus: int
    gpus: int
    memory_gib: int


@dataclass(frozen=True)
class PodOptions:
    """Options about the pods; None: worked out from the experiment."""

    image: str | None = None
    workers: int = 2
    cpus_per_worker: int | None = None
    gpus_per_worker: int | None = None
    memory_gib: int | None = None
    claim: str | None = None
    service_account: str | None = None


def image_name(gpu: bool) -> str:
    """The image that the recipe in cluster/docker builds; the tag says the version and what it is for."""
    return f"cifake-ray:{__version__}-{'gpu' if gpu else 'cpu'}"


def render_rayjob(
    experiment: Experiment,
    *,
    name: str,
    storage: str,
    asked: PodOptions,
    resume: bool = False,
    trust: bool = False,
    header: str = "",
) -> str:
    """The ConfigMap and the RayJob of one study. `resume`: resume the study of this name instead; `trust`: and run the
    Python file in it.

    Raises InputError for a name, storage, data source or weights that pods cannot use, and for an empty search space.
    """
    validate_experiment(experiment.model_dump(mode="json", by_alias=True) | {"name": name}, "--name")
    if not experiment.search_space:
        raise InputError(f"{experiment.name}: search_space is empty, so there is nothing to tune", "name a dimension")
    paths = {"--storage": storage, "data.source": experiment.data.source, "model.weights": _weights_file(experiment)}
    on_claim = [_is_on_claim(option, path) for option, path in paths.items() if path not in ("", *SAMPLES)]
    trials = str(experiment.search.trials)
    study = ["--resume", name, "--trials", trials, *(["--trust"] if trust else [])]
    if not resume:
        study = ["/etc/cifake-ray/experiment.yaml", "--name", name]
    return _render(
        "rayjob.yaml.j2",
        asked,
        [worker_group(experiment, asked)],
        shared=any(on_claim),
        header=header,
        name=_kubernetes_name(name),
        study=name,
        storage=storage,
        experiment=experiment.name,
        experiment_file=save_experiment(experiment),
        own_file=experiment.model.own_file,
        entrypoint=shlex.join(["cifake-ray", "tune", *study, "--storage", storage, "--address", "auto"]),
        deadline_seconds=_deadline_seconds(experiment),
    )


def render_raycluster(*, name: str, asked: PodOptions, header: str = "") -> str:
    """A RayCluster that stays: CPU workers, and GPU workers where `gpus_per_worker` requests them."""
    cpu = _filled(Group("cpu", asked.workers, asked.cpus_per_worker or _SLOTS, 0, asked.memory_gib or 0))
    groups = [cpu, replace(cpu, name="gpu", gpus=asked.gpus_per_worker)] if asked.gpus_per_worker else [cpu]
    return _render("raycluster.yaml.j2", asked, groups, shared=True, header=header, name=_kubernetes_name(name))


def worker_group(experiment: Experiment, asked: PodOptions) -> Group:
    """The worker pods that the experiment's `resources` need. Raises InputError when a trial fits no pod."""
    resources = experiment.resources
    gpus = math.ceil(resources.gpus_per_trial) if asked.gpus_per_worker is None else asked.gpus_per_worker
    if resources.gpus_per_trial > gpus:
        raise InputError(
            f"--gpus-per-worker {gpus}: one trial requests {resources.gpus_per_trial:g} GPUs "
            f"(resources.gpus_per_trial)",
            f"give {math.ceil(resources.gpus_per_trial)} or more",
        )
    if resources.gpus_per_trial:
        slots = int(gpus / resources.gpus_per_trial + 1e-9)
    elif resources.max_concurrent == "auto":
        slots = max(1, _SLOTS // resources.cpus_per_trial)
    else:
        slots = math.ceil(resources.max_concurrent * max(resources.workers_per_trial, 1) / asked.workers)
    waiting = 1 if resources.workers_per_trial else 0  # for the processes that wait for a trial's workers
    cpus = asked.cpus_per_worker or slots * resources.cpus_per_trial + waiting
    if cpus < resources.cpus_per_trial:
        raise InputError(
            f"--cpus-per-worker {cpus}: one trial requests {resources.cpus_per_trial} CPUs (resources.cpus_per_trial)",
            f"give {resources.cpus_per_trial} or more",
        )
    return _filled(Group("gpu" if gpus else "cpu", asked.workers, cpus, gpus, asked.memory_gib or 0))


def _filled(group: Group) -> Group:
    """The group with memory for its CPUs, where none is given."""
    return replace(group, memory_gib=group.memory_gib or _GIB_PER_POD + _GIB_PER_SLOT * group.cpus)


def _render(template: str, asked: PodOptions, groups: Sequence[Group], *, header: str, **values: object) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifake_ray", "templates"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(
        values,
        header=header,
        groups=groups,
        service_account=asked.service_account,
        claim=asked.claim or CLAIM,
        image=asked.image or image_name(any(group.gpus for group in groups)),
        ray_version=version("ray"),
        mount=SHARED,
    )


def _kubernetes_name(name: str) -> str:
    """A study's name as Kubernetes allows it: lower case letters, digits and dashes, a letter first."""
    allowed = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not re.match(r"[a-z]", allowed) or len(allowed) > _NAME_LENGTH:
        raise InputError(
            f"--name {name}: KubeRay wants a letter first and {_NAME_LENGTH} characters at most",
            "choose another --name",
        )
    return allowed


def _weights_file(experiment: Experiment) -> str:
    """The path of the backbone's weights, or nothing where they are known by name."""
    return next((name for name in experiment.model.weight_names if PurePosixPath(name).suffix), "")


def _is_on_claim(option: str, path: str) -> bool:
    """Whether the path lies on the shared claim; False in a bucket. Raises InputError where pods cannot reach it."""
    if re.match("(s3|gs)://[^/]", path):
        return False
    if not path.startswith(f"{SHARED}/") or ".." in path.split("/"):
        kind = f"outside {SHARED}" if path.startswith(("/", "~")) else "a relative path"
        raise InputError(f"{option} {path}: {kind}", f"pods reach {SHARED}/… (the claim they mount), s3://… and gs://…")
    return True


def _deadline_seconds(experiment: Experiment) -> int:
    budget = experiment.search.time_budget_s
    return 3600 * _DEADLINE_HOURS if budget is None else math.ceil(budget) + 3600 * _HOURS_AFTER_BUDGET

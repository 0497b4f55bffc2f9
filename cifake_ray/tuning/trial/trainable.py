"""One trial: what runs in a trial's process, and the Tune trainable around it, in local or data-parallel mode."""

import contextlib
import queue
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch
import torch.distributed as dist
from ray import train, tune
from ray.train._internal.session import get_session
from ray.train.torch import TorchTrainer
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.trainable.function_trainable import wrap_function

from cifake_ray.data import Split, open_images
from cifake_ray.experiment import BackboneModel, Experiment, Model
from cifake_ray.features import FeatureSet
from cifake_ray.models.registry import build_network, preparation, starting_weights
from cifake_ray.runs.faults import check_folder, storage_fault
from cifake_ray.runs.run import Run
from cifake_ray.training.batches import FeatureInputs, ImageInputs, Inputs, TrainingSet
from cifake_ray.training.cost import measure_cost
from cifake_ray.training.fit import Fit, Progress, TrialFailed, fit
from cifake_ray.training.standardise import standardise
from cifake_ray.tuning.ray_cluster.capacity import trial_bundle
from cifake_ray.tuning.ray_cluster.replication import Home, entry_here
from cifake_ray.tuning.trial.naming import actor_label, print_epoch, show_title, trial_name

Report = Callable[[dict[str, Any]], None]
OUT_OF_MEMORY = "out-of-memory"  # file in a trial's folder: Ray ended its process for want of memory
OUT_OF_MEMORY_REASON = "out of memory: its node ended the process; lower batch_size or max_concurrent"


@dataclass(frozen=True)
class Materials:
    """What every trial of a study works from: paths and row numbers, so that it is small wherever it is sent.

    `features`: the train part's feature set by (weights, image size, view); empty for models that take images.
    `home`: the node whose cache holds them, from which others copy what they need; None: every process can read them.
    """

    experiment: Experiment
    run: Run
    images: Path
    split: Split
    features: Mapping[tuple[str, int, str], FeatureSet]
    home: Home | None = None


Loop = Callable[[Materials, Mapping[str, Any], Report], None]


def run_trial(materials: Materials, config: Mapping[str, Any], report: Report) -> None:
    """Train one configuration; what fails is reported, not raised.

    `failed`: the reason, where it belongs to the configuration; `storage`: the reason, where the run cannot be written.

    config: `params` (search-space values), `seed`, `folder` (for checkpoints, under the run), `trial_id` or None.
    """
    run = materials.run.here()
    folder = run.path / config["folder"]

    try:
        check_folder(run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        run.pull(config["folder"])
        if (folder / OUT_OF_MEMORY).exists():
            raise TrialFailed(OUT_OF_MEMORY_REASON)
        experiment = materials.experiment.with_params(config["params"], seed=config["seed"])
        name, epochs = trial_name(config), experiment.training.epochs
        show_title(name)
        work = _prepare(materials, experiment, folder)
        cost = measure_cost(work, experiment.search.second_objective)

        def report_epoch(row: dict[str, Any]) -> None:
            run.push(config["folder"])  # its checkpoint, before anybody hears of the epoch
            print_epoch(name, row, epochs)
            report(row | cost | {"trial_id": config["trial_id"]})
            show_title(name)

        fit(work, report_epoch)
    except _Stopped:
        raise
    except TrialFailed as failure:
        report({"failed": str(failure)})
    except Exception as error:
        report(_outcome(error, run, folder))


def _outcome(error: Exception, run: Run, folder: Path) -> dict[str, str]:
    """`storage`: why the study cannot be written any more; or `failed`: what went wrong with this trial."""
    if (fault := storage_fault(error, run)) is not None:
        return {"storage": fault}
    try:
        folder.mkdir(exist_ok=True)
        (folder / "error.txt").write_text(traceback.format_exc())
    except OSError as full:
        return {"storage": storage_fault(full, run) or str(full)}
    return {"failed": _reason(error)}


def _reason(error: Exception) -> str:
    """One line for trials.csv; the traceback lies in the trial's error.txt."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return f"out of memory; lower batch_size or max_concurrent ({text[:120]})"
    return f"{type(error).__name__}: {text[:200]}"


def _prepare(materials: Materials, experiment: Experiment, folder: Path) -> Fit:
    """The network, seeded, and its data, on the trial's device."""
    device = _device(experiment.resources.gpus_per_trial)
    data = _training_set(_Inputs.of(materials, experiment.model), device)
    torch.manual_seed(experiment.training.seed)
    network = build_network(experiment.model, starting_weights(experiment.model))
    standardise(network, data)
    return Fit(
        network,
        data,
        experiment.training,
        metric=experiment.search.metric,
        folder=folder,
        threads=experiment.resources.cpus_per_trial,
        progress=Progress(),
    )


def _device(gpus: float) -> str:
    """Raises TrialFailed when Ray gave the trial a GPU that torch does not see: it would train on a CPU unnoticed."""
    if not gpus:
        return "cpu"
    if not torch.cuda.is_available():
        node = ray.get_runtime_context().get_node_id()[:8]
        raise TrialFailed(f"node {node} has a GPU for Ray and torch sees none there; install a CUDA torch and driver")
    return "cuda"


@dataclass(frozen=True)
class _Inputs:
    """What a training set is made from; equal for trials that can share one. Compared by `key` and run."""

    key: tuple[Any, ...]
    materials: Materials
    model: Model

    @classmethod
    def of(cls, materials: Materials, model: Model) -> "_Inputs":
        if isinstance(model, BackboneModel) and model.frozen:
            return cls((model.weights, model.image_size, model.views, model.stages, model.pool), materials, model)
        return cls((model.image_size, model.views), materials, model)

    def __hash__(self) -> int:
        return hash((self.key, self.materials.run))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inputs) and (self.key, self.materials.run) == (other.key, other.materials.run)


@lru_cache(maxsize=1)  # a reused actor keeps the last one
def _training_set(source: _Inputs, device: str) -> TrainingSet:
    materials, model = source.materials, source.model
    part = open_images(entry_here(materials.images, materials.home)).train
    inputs: Inputs
    if isinstance(model, BackboneModel) and model.frozen:
        columns = (_features(materials, model, view) for view in model.views)
        inputs = FeatureInputs(tuple(tuple(column.to(device) for column in view) for view in columns))
    else:
        inputs = ImageInputs(torch.from_numpy(part.images).to(device), model.views)
    labels = torch.from_numpy(part.labels.astype(np.float32)).to(device)
    train, validation = (
        torch.from_numpy(rows).to(device) for rows in (materials.split.train, materials.split.validation)
    )
    return TrainingSet(inputs, labels, train, validation, preparation(model))


def _features(materials: Materials, model: BackboneModel, view: str) -> list[torch.Tensor]:
    """float16 [n, d] each, memory-mapped from this node's cache: the columns of one view that the head takes."""
    found: list[np.ndarray] = []
    for size in model.sizes:
        features = materials.features[model.weights, size, view]
        here = {name: entry_here(features.entries[name], materials.home) for name in model.columns}
        found += replace(features, entries=here).columns(model.columns)
    return list(map(torch.from_numpy, found))


# --- around it: Ray Tune and Ray Train ---------------------------------------------------------------------------


def build_trainable(materials: Materials, loop: Loop = run_trial) -> type[tune.Trainable]:
    """The Tune trainable of a study: `TorchTrainer` in the trial's own process, or with workers of its own.

    It is named after the model, because that is the name its actors have in the dashboard. `loop`: what a trial does;
    benchmarks give one that trains nothing.
    """
    resources = materials.experiment.resources
    reference = ray.put(materials)
    run = _run_distributed if resources.workers_per_trial else _run_local
    kind, study = materials.experiment.model.kind, materials.run.name

    def trial(config: dict[str, Any]) -> None:
        run(ray.get(reference), config, loop)

    class ModelTrial(_EndsWorkers, wrap_function(trial, name=kind)):  # type: ignore[misc]
        def __repr__(self) -> str:
            return actor_label(study, self.config)

        @classmethod
        def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory:  # noqa: ARG003
            return tune.PlacementGroupFactory([trial_bundle(resources)])

    ModelTrial.__name__ = ModelTrial.__qualname__ = f"{kind.replace('-', ' ').title().replace(' ', '')}Trial"
    return ModelTrial


def _run_local(materials: Materials, config: dict[str, Any], loop: Loop) -> None:
    """Ray Train's local mode. Its own `report` keeps only the last value, hence `tune.report`."""
    trainer = TorchTrainer(
        lambda: loop(materials, config, tune.report),
        scaling_config=train.ScalingConfig(num_workers=0),
    )
    trainer.fit()


# --- a trial with data-parallel workers --------------------------------------------------------------------------
#
# Tune ends a trial by ending its process, and then the workers' placement group is never freed and every later trial
# waits for ever (ray-project/ray#54305; Ray's own remedy, #58515, needs the dashboard). So the trial's process asks its
# workers to stop, by a file beside their checkpoints, and lets `TorchTrainer.fit` return before it ends.

_WORKERS_END_SECONDS = 120  # an epoch and the workers' shutdown; a trial that takes longer is ended by force
_stop: tuple[Run, str] | None = None  # the file of the trial that this process runs


class _EndsWorkers:
    """Mixed into the trainable: before the process ends or takes the next trial, the workers of this one finish."""

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        _end_workers()
        return bool(super().reset_config(new_config))  # type: ignore[misc]

    def cleanup(self) -> None:
        _end_workers()
        super().cleanup()  # type: ignore[misc]


def _end_workers() -> None:
    """Ask the workers to stop and wait for them, taking the reports they still send: their queue holds one."""
    session = get_session()
    if _stop is None or session is None:
        return
    run, name = _stop
    run.mark(name)
    session.finish(timeout=0)  # says to the training thread that the trial is over, and does not wait
    deadline = time.monotonic() + _WORKERS_END_SECONDS
    while session.training_thread.is_alive() and time.monotonic() < deadline:
        with contextlib.suppress(queue.Empty):
            session._get_or_create_inter_actor_queue().get(timeout=0.2)


class _Stopped(Exception):
    """Tune has ended this trial."""


def _stop_asked(run: Run, name: str) -> bool:
    """Whether any rank sees the file; all ranks get the same answer, or they would wait for each other."""
    seen = torch.tensor(float(run.marked(name)))
    if dist.is_initialized():
        seen = seen.to("cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(seen, op=dist.ReduceOp.MAX)
    return bool(seen.item())


def _run_distributed(materials: Materials, config: dict[str, Any], loop: Loop) -> None:
    """Data-parallel workers; rank 0's reports reach Tune through the callback."""
    global _stop  # noqa: PLW0603 (one trial a process, and its end comes from outside the function)
    stop = f"{config['folder']}/stop"
    _stop = (materials.run.here(), stop)
    _stop[0].remove(stop)
    resources = materials.experiment.resources
    per_worker = {"CPU": float(resources.cpus_per_trial)}
    if resources.gpus_per_trial:
        per_worker["GPU"] = resources.gpus_per_trial

    def worker() -> None:
        def report(row: dict[str, Any]) -> None:
            train.report(row)
            if _stop_asked(materials.run.here(), stop):
                raise _Stopped

        with contextlib.suppress(_Stopped):
            loop(materials, config, report)

    with tempfile.TemporaryDirectory(prefix="cifake-ray-") as storage:
        trainer = TorchTrainer(
            worker,
            scaling_config=train.ScalingConfig(
                num_workers=resources.workers_per_trial,
                use_gpu=resources.gpus_per_trial > 0,
                resources_per_worker=per_worker,
            ),
            run_config=train.RunConfig(
                name=Path(config["folder"]).name, storage_path=storage, callbacks=[TuneReportCallback()]
            ),
        )
        trainer.fit()

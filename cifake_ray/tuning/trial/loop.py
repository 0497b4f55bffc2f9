"""What runs in a trial's process: one configuration, trained from its data to its last epoch."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from cifake_ray.data import open_images
from cifake_ray.data.pixels import ArrayPixels, Pixels
from cifake_ray.data.squares import open_squares
from cifake_ray.data.transform import model_transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Model, PassKey, value_at
from cifake_ray.features import FeatureSet
from cifake_ray.models.registry import family_of
from cifake_ray.runs.faults import check_folder, storage_fault
from cifake_ray.runs.run import Run
from cifake_ray.training.batches import FeatureInputs, ImageInputs, Inputs, TrainingSet, placed
from cifake_ray.training.cost import measure_cost
from cifake_ray.training.fit import Fit, FitState, TrialFailed, fit
from cifake_ray.training.standardise import standardise
from cifake_ray.tuning.ray_cluster.replication import array_here, entry_here
from cifake_ray.tuning.squares import trial_transform
from cifake_ray.tuning.trial.context import OUT_OF_MEMORY, OUT_OF_MEMORY_REASON, Report, Stopped, TrialContext
from cifake_ray.tuning.trial.naming import print_epoch, show_title, trial_name


def run_trial(context: TrialContext, config: Mapping[str, Any], report: Report) -> None:
    """Train one configuration; what fails is reported, not raised.

    `failed`: the reason, where it belongs to the configuration; `storage`: the reason, where the run cannot be written.

    config: `params` (search-space values), `seed`, `folder` (for checkpoints, under the run), `trial_id` or None.
    """
    run = context.run.here()
    folder = run.path / config["folder"]

    try:
        check_folder(run)
        folder.parent.mkdir(parents=True, exist_ok=True)
        checkpoints = run.checkpoints(config["folder"])
        if (folder / OUT_OF_MEMORY).exists():
            raise TrialFailed(OUT_OF_MEMORY_REASON)
        experiment = context.experiment.with_params(config["params"], seed=config["seed"])
        name, epochs = trial_name(config), experiment.training.epochs
        show_title(name)
        work = _prepare(context, experiment, folder)
        cost = measure_cost(work, experiment.search.second_objective)

        def report_epoch(row: dict[str, Any]) -> None:
            checkpoints.save()  # before the epoch is reported
            print_epoch(name, row, epochs)
            report(row | cost | {"trial_id": config["trial_id"]})
            show_title(name)

        fit(work, report_epoch)
    except Stopped:
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
    return text[:300] if isinstance(error, InputError) else f"{type(error).__name__}: {text[:200]}"


def _prepare(context: TrialContext, experiment: Experiment, folder: Path) -> Fit:
    """The network, seeded, and its data, on the trial's device."""
    device = _device(experiment.resources.gpus_per_trial)
    data = _training_set(_Inputs.of(context, experiment.model), device)
    torch.manual_seed(experiment.training.seed)
    network = family_of(experiment.model).start(experiment.model)
    standardise(network, data)
    return Fit(
        network,
        data,
        experiment.training,
        metric=experiment.search.metric,
        folder=folder,
        threads=experiment.resources.cpus_per_trial,
        progress=FitState(),
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
    context: TrialContext
    model: Model

    @classmethod
    def of(cls, context: TrialContext, model: Model) -> "_Inputs":
        return cls(tuple(value_at(model, key) for key in model.input_keys), context, model)

    def __hash__(self) -> int:
        return hash((self.key, self.context.run))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Inputs) and (self.key, self.context.run) == (other.key, other.context.run)


@lru_cache(maxsize=1)  # a reused actor keeps the last one
def _training_set(source: _Inputs, device: str) -> TrainingSet:
    context, model = source.context, source.model
    inputs: Inputs = _with_copies(context, model, device) if model.takes_features else _images(context, model, device)
    labels = torch.from_numpy(array_here(context.images, "train_labels", context.home).astype(np.float32)).to(device)
    where = inputs.images.device if isinstance(inputs, ImageInputs) else device
    train, validation = (torch.from_numpy(rows).to(where) for rows in (context.split.train, context.split.validation))
    return TrainingSet(
        inputs,
        labels,
        train,
        validation,
        family_of(model).prepare(model),
        context.generators,
        _degraded(context, model, device),
    )


def _images(context: TrialContext, model: Model, device: str) -> ImageInputs:
    """The train part's images, or its pictures as squares; on the device where they fit into it."""
    if context.squares:
        path = context.squares[trial_transform(context.experiment, model, None)]
        pixels: Pixels = open_squares(entry_here(path, context.home))
    else:
        pixels = open_images(entry_here(context.images, context.home)).train.pixels
    assert isinstance(pixels, ArrayPixels)
    share = context.experiment.resources.gpus_per_trial
    images = placed(torch.from_numpy(pixels.array), torch.device(device), share)
    valid = None if pixels.valid is None else torch.from_numpy(pixels.valid.astype(np.int64)).to(images.device)
    target = None if images.device.type == torch.device(device).type else torch.device(device)
    return ImageInputs(images, model.looks, model.fit, model.largest_size, valid, target)


def _features(
    context: TrialContext, model: Model, device: str, of: Mapping[PassKey, FeatureSet], rows: slice = slice(None)
) -> FeatureInputs:
    """The features of these rows that the head takes under each look; of: the feature set of every pass."""
    return FeatureInputs(_looks(context, model.looks, model, device, of, rows))


def _with_copies(context: TrialContext, model: Model, device: str) -> FeatureInputs:
    """The features of the train part under each look, and those of augmented copies of the pictures that train."""
    inputs = _features(context, model, device, context.features)
    if not model.copy_looks:
        return inputs
    train = torch.from_numpy(context.split.train)
    places = torch.full((len(inputs.columns[0][0]),), -1).index_copy_(0, train, torch.arange(len(train)))
    copies = _looks(context, model.copy_looks, model, device, context.features)
    return replace(inputs, copies=copies, places=places.to(device))


def _looks(
    context: TrialContext, looks: Sequence[str], model: Model, device: str, of: Mapping[PassKey, FeatureSet],
    rows: slice = slice(None),
) -> tuple[tuple[torch.Tensor, ...], ...]:  # fmt: skip
    columns = (_columns(context, model, look, of) for look in looks)
    return tuple(tuple(column[rows].to(device) for column in look) for look in columns)


def _columns(
    context: TrialContext, model: Model, look: str, of: Mapping[PassKey, FeatureSet]
) -> list[torch.Tensor]:  # fmt: skip
    """float16 [n, d] each, memory-mapped from this node's cache: the columns of one look that the head takes."""
    found: list[np.ndarray] = []
    for key, columns in model.reads(look):
        here = {name: entry_here(of[key].entries[name], context.home) for name in columns}
        found += replace(of[key], entries=here).columns(columns)
    return list(map(torch.from_numpy, found))


def _degraded(context: TrialContext, model: Model, device: str) -> tuple[Inputs, ...]:
    """The validation pictures under one degradation after another; () where the study does not choose by them."""
    degraded = context.degraded
    if degraded is None:
        return ()
    count = len(context.split.validation)
    copies = [slice(start, start + count) for start in range(0, degraded.copies * count, count)]
    if model.takes_features:
        return tuple(_features(context, model, device, degraded.features, rows) for rows in copies)
    path = degraded.squares[model_transform(model, degraded.side)]
    array = torch.from_numpy(open_squares(entry_here(path, context.home)).array)
    images = placed(array, torch.device(device), context.experiment.resources.gpus_per_trial)
    target = None if images.device.type == torch.device(device).type else torch.device(device)
    return tuple(
        ImageInputs(images[rows], model.looks, model.fit, model.largest_size, None, target) for rows in copies
    )  # fmt: skip

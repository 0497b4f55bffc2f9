"""The fit loop: plain PyTorch, one for every model, alone or as one of several data-parallel workers.

The loop takes a `report` callable and never imports Ray. An epoch's shuffling, augmentation and dropout follow from the
seed and the epoch's number alone, so that a resumed trial continues exactly like an uninterrupted one.
"""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.nn.parallel import DistributedDataParallel

from cifake_ray.experiment import Metric, Training
from cifake_ray.training.augment import BatchRandom
from cifake_ray.training.batches import TrainingSet, epoch_rows
from cifake_ray.training.checkpoint import (
    BEST,
    LAST,
    load_checkpoint,
    named,
    optimizer_tensors,
    restore,
    save_checkpoint,
    unnamed,
)
from cifake_ray.training.memory import keep_freed_memory
from cifake_ray.training.optimizer import average_weights, build_optimizer, learning_rate
from cifake_ray.training.precision import autocast_dtype
from cifake_ray.training.validation import evaluate, means, sample_rows, validation_figures


class TrialFailed(Exception):
    """Training cannot continue, for a reason that belongs to the configuration (NaN, out of memory)."""


@dataclass(frozen=True)
class Epoch:
    """One row of curves.csv. Losses are mean binary cross-entropy in nats, accuracies fractions; `seconds` wall.

    None: not measured, by version 0.1 or because the study does not choose by the figure.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    val_balanced_accuracy: float | None = None
    val_auc: float | None = None
    val_worst_group: float | None = None
    val_degraded: float | None = None


@dataclass(frozen=True)
class FitState:
    """A trial so far: every epoch, the best one, its clean training accuracy, and the time spent over all resumes."""

    curve: tuple[Epoch, ...] = ()
    best_epoch: int = 0
    train_accuracy: float = 0.0
    seconds: float = 0.0
    cpu_seconds: float = 0.0

    @property
    def best(self) -> Epoch:
        return self.curve[self.best_epoch - 1]

    def row(self, epoch: int) -> dict[str, float]:
        """The report at `epoch` (1 = the first): figures of the epoch and of the trial's best epoch so far."""
        best = {f"best_{key}": getattr(self.best, key) for key in ("epoch", *Metric)}
        spent = {"total_seconds": self.seconds, "cpu_seconds": self.cpu_seconds}
        row = asdict(self.curve[epoch - 1]) | best | spent | {"best_train_accuracy": self.train_accuracy}
        return {key: value for key, value in row.items() if value is not None}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> "FitState":
        return cls(**note | {"curve": tuple(Epoch(**row) for row in note["curve"])})


@dataclass
class Fit:
    """The state of the loop. `threads`: of torch; `folder` holds `last` and `best` (None keeps nothing)."""

    network: nn.Module
    data: TrainingSet
    training: Training
    metric: Metric = Metric.VAL_ACCURACY
    folder: Path | None = None
    threads: int = 1
    progress: FitState = field(default_factory=FitState)

    def __post_init__(self) -> None:
        torch.set_num_threads(self.threads)
        keep_freed_memory()
        self.device = self.data.inputs.device
        self.network.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = build_optimizer(self.network, self.training)
        self.average = average_weights(self.network, self.training)
        self.dtype = autocast_dtype(self.device, self.training.precision)
        self.rank, self.world = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)

    @property
    def evaluated_network(self) -> nn.Module:
        """The network that is validated, saved as best and tested: the moving average, if there is one."""
        return self.network if self.average is None else self.average.module

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, self.dtype or torch.bfloat16, enabled=self.dtype is not None)


def fit(work: Fit, report: Callable[[dict[str, float]], None]) -> FitState:
    """Train to the last epoch, from `folder/last` if the file exists; `report` is called once an epoch, by every rank.

    Epochs already in the checkpoint are reported again (the first report may not have arrived). Raises TrialFailed.
    """
    _resume(work)
    for done in range(1, len(work.progress.curve) + 1):
        report(_as_reported_at(work, done))
    wrapped = DistributedDataParallel(work.network) if work.world > 1 else work.network
    for number in range(len(work.progress.curve) + 1, work.training.epochs + 1):
        _advance(work, wrapped, number)
        report(work.progress.row(number))
    return work.progress


def _as_reported_at(work: Fit, number: int) -> dict[str, float]:
    """The row of an epoch that a checkpoint holds, with the best epoch as of then."""
    known = work.progress.curve[:number]
    best = max(known, key=lambda epoch: (_score(epoch, work.metric), -epoch.epoch))
    return replace(work.progress, best_epoch=best.epoch).row(number)


def _advance(work: Fit, wrapped: nn.Module, number: int) -> None:
    """Train one epoch, validate, record the best epoch, write the checkpoints."""
    wall, cpu = time.perf_counter(), time.process_time()
    train_loss, train_accuracy = train_epoch(work, wrapped, number)
    found = validation_figures(work)
    for name, loss in (("training", train_loss), ("validation", found["val_loss"])):
        if not math.isfinite(loss):
            raise TrialFailed(f"the {name} loss is {loss} in epoch {number}; lower the learning rate")
    rate, seconds = learning_rate(work.training, number - 1), time.perf_counter() - wall
    epoch = Epoch(number, train_loss, train_accuracy, learning_rate=rate, seconds=seconds, **found)
    before = work.progress
    improved = not before.curve or _score(epoch, work.metric) > _score(before.best, work.metric)
    progress = replace(before, curve=(*before.curve, epoch), best_epoch=number if improved else before.best_epoch)
    if improved:
        progress = replace(progress, train_accuracy=evaluate(work, sample_rows(work.data.train))[1])
    work.progress = replace(
        progress,
        seconds=before.seconds + time.perf_counter() - wall,
        cpu_seconds=before.cpu_seconds + time.process_time() - cpu,
    )
    if work.rank == 0 and work.folder is not None:
        _save(work, work.folder, improved)


def train_epoch(work: Fit, wrapped: nn.Module, number: int) -> tuple[float, float]:
    """One pass over the training rows; returns mean loss and accuracy under augmentation, over all ranks.

    Each rank takes every world-th row of each global batch; its loss is divided by the global batch, so that the
    averaged gradients are those of one worker at the same batch. No value leaves the device before the epoch ends.
    """
    training, data = work.training, work.data
    generator = torch.Generator().manual_seed(training.seed * 1_000_003 + number)
    torch.manual_seed(training.seed * 1_000_003 + number)  # dropout
    work.network.train()
    sums = torch.zeros(3, dtype=torch.float64, device=work.device)  # loss, correct, images
    steps = max(len(data.train) // training.batch_size, 1)
    share = slice(work.rank, None, work.world)
    for step, batch in enumerate(epoch_rows(data.train, training.batch_size, generator)):
        inputs = data.inputs.draw(batch[share], training, BatchRandom(len(batch), generator, work.device, share))
        labels = data.labels[batch[share]]
        for group in work.optimizer.param_groups:
            group["lr"] = learning_rate(training, number - 1 + step / steps) * group.get("factor", 1.0)
        with work.autocast():
            logits = wrapped(data.prepare(inputs))
        targets = labels.lerp(torch.full_like(labels, 0.5), training.label_smoothing)
        loss = binary_cross_entropy_with_logits(logits.float(), targets, reduction="sum")
        work.optimizer.zero_grad(set_to_none=True)
        (loss * (work.world / len(batch))).backward()
        work.optimizer.step()
        if work.average is not None:
            work.average.update_parameters(work.network)
        with torch.no_grad():
            sums += torch.stack((loss, ((logits > 0) == (labels > 0.5)).sum(), torch.ones_like(loss) * len(labels)))
    return means(sums)


def _score(epoch: Epoch, metric: Metric) -> float:
    """The epoch's score; larger is better."""
    return metric.score(getattr(epoch, metric))


def _resume(work: Fit) -> None:
    """Resume from `last`. Without a readable `best` the training starts anew, because nothing could be tested."""
    if work.folder is None or (stored := load_checkpoint(work.folder / LAST)) is None:
        return
    if load_checkpoint(work.folder / BEST) is not None:
        tensors, note = stored
        restore(work.network, work.optimizer, tensors)
        if work.average is not None:
            work.average.load_state_dict(unnamed("average.", tensors))
        work.progress = FitState.from_note(note)


def _save(work: Fit, folder: Path, improved: bool) -> None:
    note = asdict(work.progress)
    if improved:
        save_checkpoint(folder / BEST, named("model.", work.evaluated_network.state_dict()), note)
    average = {} if work.average is None else named("average.", work.average.state_dict())
    state = named("model.", work.network.state_dict()) | average | optimizer_tensors(work.optimizer)
    save_checkpoint(folder / LAST, state, note)

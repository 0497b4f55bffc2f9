"""Judge rows of a set without augmentation: loss, accuracy, and the other figures by which a study may choose."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from cifake_ray.experiment import Metric
from cifake_ray.stats.classification import auc, balanced_accuracy
from cifake_ray.stats.groups import worst_group
from cifake_ray.training.batches import Inputs

if TYPE_CHECKING:
    from cifake_ray.training.fit import Fit

CLEAN_TRAIN_IMAGES = 10_000  # of which the best epoch's training accuracy is measured, without augmentation


@dataclass(frozen=True)
class Judged:
    """Mean binary cross-entropy in nats, accuracy 0..1, and the logits of REAL of all rows: float32 [n].

    The three are the same on every rank.
    """

    loss: float
    accuracy: float
    logits: Tensor


def validation_figures(work: "Fit") -> dict[str, float]:
    """The figures of the validation part by their columns, without those that the data cannot give.

    `val_worst_group` needs the generators of the pictures, `val_degraded` their degraded copies: `TrainingSet`.
    A loss that is not finite comes without the other figures.
    """
    data = work.data
    wanted = data.labels[data.validation]
    judged = judge(work, data.inputs, data.validation, wanted)
    figures = {Metric.VAL_LOSS: judged.loss, Metric.VAL_ACCURACY: judged.accuracy}
    if not math.isfinite(judged.loss):
        return {str(metric): value for metric, value in figures.items()}
    labels, logits = wanted.cpu().numpy(), judged.logits.cpu().numpy()
    called_fake = (logits <= 0).astype("float32")
    figures[Metric.VAL_BALANCED_ACCURACY] = balanced_accuracy(labels, called_fake)
    figures[Metric.VAL_AUC] = auc(labels, -logits)
    if data.generators is not None:
        figures[Metric.VAL_WORST_GROUP] = worst_group(labels, called_fake, data.generators)
    if data.degraded:
        rows = torch.arange(len(wanted))  # rows on the CPU select from tensors on any device
        shares = [judge(work, inputs, rows, wanted).accuracy for inputs in data.degraded]
        figures[Metric.VAL_DEGRADED] = sum(shares) / len(shares)
    return {str(metric): value for metric, value in figures.items()}


def evaluate(work: "Fit", rows: Tensor) -> tuple[float, float]:
    """Mean loss and accuracy on `rows` of the set, without augmentation, shared among the ranks."""
    judged = judge(work, work.data.inputs, rows, work.data.labels[rows])
    return judged.loss, judged.accuracy


@torch.inference_mode()
def judge(work: "Fit", inputs: Inputs, rows: Tensor, labels: Tensor) -> Judged:
    """What the network makes of these rows of `inputs`, whose labels are float32 [len(rows)], 1 = REAL.

    Each rank computes every world-th row; sums and logits are then exchanged.
    """
    sums = torch.zeros(3, dtype=torch.float64, device=work.device)
    share, size = slice(work.rank, None, work.world), inputs.at_once
    found: list[Tensor] = []
    for batch, wanted in zip(rows[share].split(size), labels[share].split(size), strict=True):
        logits = predict_batch(work, batch, inputs)
        loss = binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
        sums += torch.stack((loss, ((logits > 0) == (wanted > 0.5)).sum(), torch.ones_like(loss) * len(batch)))
        found.append(logits)
    loss_mean, accuracy = means(sums)
    return Judged(loss_mean, accuracy, _of_all_ranks(work, torch.cat(found), len(rows)))


@torch.inference_mode()
def predict_batch(work: "Fit", rows: Tensor, inputs: Inputs | None = None) -> Tensor:
    """Logits float32 [len(rows)] of label 1 (REAL), in evaluation mode, averaged over the views.

    inputs: other ones than those of the set that the network trains on.
    """
    network = work.evaluated_network.eval()
    logits: list[Tensor] = []
    for view in (inputs or work.data.inputs).views(rows):
        prepared = work.data.prepare(view)
        with work.autocast():
            logits.append(network(prepared).float())
    return torch.stack(logits).mean(0)


def means(sums: Tensor) -> tuple[float, float]:
    """Loss and accuracy a row, from the sums of loss, right answers and rows of each rank: float64 [3]."""
    if dist.is_initialized() and dist.get_world_size() > 1:
        dist.all_reduce(sums)
    loss, correct, images = sums.tolist()
    return loss / images, correct / images


def _of_all_ranks(work: "Fit", mine: Tensor, count: int) -> Tensor:
    """The logits of all rows, of which this rank has every world-th; adding zeros changes no digit."""
    if work.world == 1:
        return mine
    whole = torch.zeros(count, device=mine.device)
    whole[work.rank :: work.world] = mine
    dist.all_reduce(whole)
    return whole


def sample_rows(rows: Tensor) -> Tensor:
    """At most 10,000 of the rows, drawn over all of them (they lie sorted by class), the same ones at every call."""
    if len(rows) <= CLEAN_TRAIN_IMAGES:
        return rows
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:CLEAN_TRAIN_IMAGES]
    return rows[chosen.to(rows.device)]

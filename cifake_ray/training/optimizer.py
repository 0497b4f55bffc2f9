"""Optimiser, learning rate and moving average of the weights, as named in the `training` section."""

import inspect
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from cifake_ray.experiment import Training
from cifake_ray.models.network import LearnsInGroups


def build_optimizer(network: nn.Module, training: Training) -> torch.optim.Optimizer:
    """The optimiser of all trainable parameters. `sgd` has Nesterov momentum 0.9.

    A group's `factor`, if present, multiplies the learning rate.
    """
    groups = (
        network.parameter_groups() if isinstance(network, LearnsInGroups) else [{"params": [*network.parameters()]}]
    )
    settings: dict[str, Any] = {"lr": training.lr, "weight_decay": training.weight_decay, "fused": True}
    if training.optimizer == "sgd":
        return _eager(torch.optim.SGD)(groups, momentum=0.9, nesterov=True, **settings)
    kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
    return _eager(kind)(groups, **settings)


@lru_cache
def _eager(kind: type[torch.optim.Optimizer]) -> Callable[..., torch.optim.Optimizer]:
    """The same optimiser with its methods undecorated.

    The decorators exclude methods from torch's compiler, and import the compiler at the first call: 4 s of a core in
    every process that trains (torch 2.15), to compile nothing.
    """
    names = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), methods)


def learning_rate(training: Training, progress: float) -> float:
    """The rate after `progress` epochs: rising over the share `warmup` of all epochs, then as `lr_schedule` says.

    Cosine: lr (1 + cos(pi t)) / 2 (Loshchilov and Hutter 2017), with t from 0 at the end of the warm-up to 1.
    """
    share = progress / training.epochs
    if share < training.warmup:
        return training.lr * share / training.warmup
    left = (share - training.warmup) / (1 - training.warmup)
    match training.lr_schedule:
        case "cosine":
            return training.lr * 0.5 * (1 + math.cos(math.pi * left))
        case "linear":
            return training.lr * (1 - left)
        case "constant":
            return training.lr


def average_weights(network: nn.Module, training: Training) -> AveragedModel | None:
    """A moving average of the network with decay `ema`, batch norm statistics too; None where `ema` is off.

    The decay of step t is at most (1 + t) / (10 + t), so that the first, random weights are soon forgotten.
    """
    if not training.ema:
        return None

    @torch.no_grad()
    def follow(averaged: Sequence[Tensor], current: Sequence[Tensor], step: Tensor | int) -> None:
        decay = min(training.ema, (1 + int(step)) / (10 + int(step)))
        if averaged[0].is_floating_point():
            torch._foreach_lerp_(list(averaged), list(current), 1 - decay)
        else:
            torch._foreach_copy_(list(averaged), list(current))

    return AveragedModel(network, multi_avg_fn=follow, use_buffers=True)

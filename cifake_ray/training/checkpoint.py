"""Checkpoints: one safetensors file each, its JSON in the header, replaced in one step. Nothing is ever unpickled."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from cifake_ray.run import write_bytes

LAST, BEST = "last.safetensors", "best.safetensors"


def save_checkpoint(file: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors and their JSON `note`; a crash leaves the former file whole.

    The folder is made, not those above it: a run that was removed is not begun again. Raises OSError.
    """
    file.parent.mkdir(exist_ok=True)
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(file, safetensors.torch.save(on_cpu, metadata={"note": json.dumps(note)}))


def load_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors (on the CPU) and note of a checkpoint; None when there is none or it is damaged."""
    try:
        with safetensors.safe_open(file, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
            return tensors, json.loads((stored.metadata() or {})["note"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `prefix` before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def unnamed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of the tensors whose names begin with `prefix`, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """An optimiser's state as named tensors: `optimizer.<parameter>.<moment>`."""
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{key}": torch.as_tensor(value) for index in state for key, value in state[index].items()
    }


def restore(network: nn.Module, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Put a checkpoint's tensors (`model.*`, `optimizer.*`) back into network and optimiser.

    Moments take their parameter's memory layout: the fused optimisers pair elements as they lie in memory.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    network.load_state_dict(unnamed("model.", tensors))
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in unnamed("optimizer.", tensors).items():
        index, key = name.split(".")
        like = parameters[int(index)]
        laid_out = torch.empty_like(like).copy_(tensor) if tensor.shape == like.shape else tensor
        state.setdefault(int(index), {})[key] = laid_out
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})

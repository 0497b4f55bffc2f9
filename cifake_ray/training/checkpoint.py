"""Checkpoints: one safetensors file each, its JSON in the header, replaced in one step. Nothing is ever unpickled."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from cifake_ray.runs.files import write_bytes

LAST, BEST = "last.safetensors", "best.safetensors"


def save_checkpoint(file: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors and their JSON `note`; after a crash the former file is whole.

    The folder is created, its parents are not: a removed run is not created again. Raises OSError.
    """
    file.parent.mkdir(exist_ok=True)
    on_cpu = _apart({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    text = json.dumps(note)
    metadata = {"note": text, "sha256": _digest(on_cpu, text)}
    write_bytes(file, safetensors.torch.save(on_cpu, metadata=metadata))


def load_checkpoint(file: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors (on the CPU) and note of a checkpoint; None when there is none or it is damaged.

    One flipped bit is detected: the header has a SHA-256 of tensors and note (except in version 0.1).
    """
    try:
        with safetensors.safe_open(file, framework="pt") as stored:
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (no mapping)
            metadata = stored.metadata() or {}
            if "sha256" in metadata and metadata["sha256"] != _digest(tensors, metadata["note"]):
                return None
            note = json.loads(metadata["note"])
    except (OSError, KeyError, ValueError, safetensors.SafetensorError):
        return None
    return (tensors, note) if isinstance(note, dict) else None


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, with a copy of each that shares memory with one before it, as tied layers do: a file has no ties."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.clone() if place in seen else tensor
        seen.add(place)
    return found


def _digest(tensors: Mapping[str, Tensor], note: str) -> str:
    """SHA-256 (hex) of the note, and of every tensor's name, type, shape and bytes in the order of names."""
    digest = hashlib.sha256(note.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def named(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors with `prefix` before their names."""
    return {prefix + name: tensor for name, tensor in tensors.items()}


def unnamed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin with `prefix`, named without the prefix."""
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

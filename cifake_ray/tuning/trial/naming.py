"""Process title, label in Ray's dashboard and log line of a running trial."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch.distributed as dist

from cifake_ray.console import percent
from cifake_ray.ray_private import process_title, set_process_title


def trial_name(config: Mapping[str, Any]) -> str:
    """`trial 7`, or `tuned-trial7-seed1` for a retraining."""
    name = Path(config["folder"]).name
    return f"trial {name}" if name.isdigit() else name


def actor_label(study: str, config: Mapping[str, Any]) -> str:
    """`clus trial 4 · lr 0.006` in Ray's dashboard: the actor's first trial (Ray reads it once, actors are reused)."""
    params = config.get("params") or {}
    settings = ", ".join(f"{key} {value:.3g}" if isinstance(value, float) else f"{key} {value}"
                         for key, value in params.items())  # fmt: skip
    return f"{study} {trial_name(config)} · {settings}" if "folder" in config else study


def show_title(name: str) -> None:
    """`ray::CnnTrial trial 7`. Ray sets the title at every call of an actor's method, so it is set after each epoch.

    The epoch stands in the log: Ray's own metrics have the title as a label, and each new one is another set of series.
    """
    title = process_title()
    if title.startswith("ray::"):
        set_process_title(f"{title.split()[0].split('.')[0]} {name}")


def print_epoch(name: str, row: Mapping[str, Any], epochs: int) -> None:
    """One line in the worker's log, of the first of several workers only."""
    if dist.is_initialized() and dist.get_rank():
        return
    reached = (
        f"validation accuracy {percent(row['val_accuracy'])}, val_loss {row['val_loss']:.4f}, {row['seconds']:.1f} s"
    )
    print(f"{name} epoch {row['epoch']}/{epochs}: {reached}", flush=True)

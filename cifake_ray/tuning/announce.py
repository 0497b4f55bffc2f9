"""What a trial's process says of itself: its title (ps, the dashboard) and a line an epoch in its log."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ray
import torch.distributed as dist


def trial_name(config: Mapping[str, Any]) -> str:
    """`trial 7`, or `tuned-trial7-seed1` for a retraining."""
    name = Path(config["folder"]).name
    return f"trial {name}" if name.isdigit() else name


def show_title(name: str) -> None:
    """`ray::CnnTrial trial 7`. Ray sets the title at every call of an actor's method, so it is set after each epoch.

    The epoch stands in the log: Ray's own metrics have the title as a label, and each new one is another set of series.
    """
    title = ray._raylet.getproctitle()
    if title.startswith("ray::"):
        ray._raylet.setproctitle(f"{title.split()[0].split('.')[0]} {name}")


def print_epoch(name: str, row: Mapping[str, Any], epochs: int) -> None:
    """One line in the worker's log, of the first of several workers only."""
    if dist.is_initialized() and dist.get_rank():
        return
    reached = f"val_accuracy {row['val_accuracy']:.4f}, val_loss {row['val_loss']:.4f}, {row['seconds']:.1f} s"
    print(f"{name} epoch {row['epoch']}/{epochs}: {reached}", flush=True)

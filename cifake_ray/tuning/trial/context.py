"""What every trial of a study reads, and the type of the function that a trial runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.data import Split
from cifake_ray.data.transform import Transform
from cifake_ray.experiment import Experiment, PassKey
from cifake_ray.features import FeatureSet
from cifake_ray.runs.run import Run
from cifake_ray.tuning.ray_cluster.replication import CacheOrigin

Report = Callable[[dict[str, Any]], None]
OUT_OF_MEMORY = "out-of-memory"  # file in a trial's folder: Ray ended its process for want of memory
OUT_OF_MEMORY_REASON = "out of memory: its node ended the process; lower batch_size or max_concurrent"


@dataclass(frozen=True)
class DegradedInputs:
    """The validation pictures, degraded in `copies` ways one after another: squares by transform, or features by pass.

    `side`: as `Part.side` of the pictures.
    """

    side: int | None
    squares: dict[Transform, Path]
    features: dict[PassKey, FeatureSet]
    copies: int


@dataclass(frozen=True)
class TrialContext:
    """What every trial of a study reads: paths and row numbers, so that the context is small to send.

    `features`: the train part's feature set of every pass; empty for models that take images.
    `squares`: its pictures of any size as squares, for every transform that models which take images request.
    `home`: the node whose cache holds all this, from which others copy what they need; None: every process can read it.
    `generators`: of the validation pictures, int64 [n], and `degraded`: these pictures degraded, where the metric needs
    them.
    """

    experiment: Experiment
    run: Run
    images: Path
    split: Split
    features: Mapping[PassKey, FeatureSet]
    home: CacheOrigin | None = None
    squares: Mapping[Transform, Path] = field(default_factory=dict)
    generators: np.ndarray | None = None
    degraded: DegradedInputs | None = None


Loop = Callable[[TrialContext, Mapping[str, Any], Report], None]


class Stopped(Exception):
    """Tune has ended this trial."""

"""The degraded validation pictures of a study by `val_degraded`: their squares, and features of frozen backbones."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from cifake_ray.console import Progress, progress
from cifake_ray.data import Part
from cifake_ray.data.corruptions import light_corruptions
from cifake_ray.data.degraded import hold_degraded
from cifake_ray.data.pixels import ArrayPixels
from cifake_ray.data.squares import open_squares
from cifake_ray.experiment import Experiment
from cifake_ray.features import FeatureSet, RunShards, ensure_features, transform_of
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.tuning.monitor.phases import say_phase
from cifake_ray.tuning.squares import degraded_copies, degraded_transforms
from cifake_ray.tuning.trial.context import DegradedInputs


@dataclass(frozen=True)
class _Squares:
    """Degraded squares as pictures to extract features of."""

    pixels: ArrayPixels
    fingerprint: str


def degraded_inputs(
    study: Experiment, part: Part, validation: np.ndarray, specs: Sequence[FeatureSpec], run_shards: RunShards,
    check: Callable[[], None],
) -> tuple[DegradedInputs | None, list[FeatureSet]]:  # fmt: skip
    """What trials judge by `val_degraded`, and the features extracted for that; (None, []) for other metrics.

    validation: rows of the part that validate, int64 [n]. What the cache lacks is made; `check` is called meanwhile,
    and raises to end this.
    """
    if not study.search.metric.on_degraded:
        return None, []
    inputs = DegradedInputs(part.side, {}, {}, degraded_copies(study))
    extracted: list[FeatureSet] = []
    for transform in degraded_transforms(study, part.side, specs):
        say_phase(study, "images", f"degraded validation pictures, {transform.name}")
        with progress(f"degraded validation pictures, {transform.name}", "pictures") as update:
            corruptions = light_corruptions(transform.side)
            path = hold_degraded(part, validation, transform, corruptions, partial(_checked, check, update))
        own = [spec for spec in specs if transform_of(spec, part.pixels) in (transform, None)]
        if not own:
            inputs.squares[transform] = path
            continue
        pictures = _Squares(open_squares(path), f"{part.fingerprint}-{path.name}")
        with progress(f"features of degraded validation pictures, {transform.name}") as update:
            found = ensure_features(pictures, own, run_shards=run_shards, progress=update)
        inputs.features.update({spec.key: one for spec, one in zip(own, found, strict=True)})
        extracted += found
    return inputs, extracted


def _checked(check: Callable[[], None], update: Progress, done: int, total: int) -> None:
    check()
    update(done, total)

"""Feature extraction of one shard: plain PyTorch, one device, one thread's work."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from cifake_ray.errors import WorkError
from cifake_ray.models.backbone import FrozenBackbone
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.views import at_tile, copy_of, squares_within
from cifake_ray.training.copies import augmented_copy
from cifake_ray.training.precision import Precision, autocast_dtype

FP16_MAX = 65504.0  # the largest finite float16 (IEEE 754 binary16)


def batch_images(image_size: int, device: str) -> int:
    """How many images go through the backbone at once.

    On the CPU a batch's activations should stay in the cache: at 64 px 32 and 64 images ran alike, 128 3 % and 256 36 %
    slower (two AVX2 cores, up to layer2). A GPU wants the larger batch.
    """
    pixels = 1 << (17 if device == "cpu" else 21)
    return max(4, min(2048, pixels // image_size**2))


class Squares(Protocol):
    """uint8 [n, s, s, 3], or [n, t, s, s, 3] of tiles, by slices of rows: an array, or squares being decoded."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: slice, /) -> np.ndarray: ...


@torch.inference_mode()
def extract_shard(
    images: Squares,
    backbone: FrozenBackbone,
    spec: FeatureSpec,
    columns: Sequence[str],
    *,
    first: int = 0,
    device: str = "cpu",
    batch_size: int | None = None,
    precision: Precision = "auto",
) -> dict[str, np.ndarray]:
    """float16 [n, features] of each of `columns`, from uint8 [n, s, s, 3], or tiles, seen as the pass says.

    first: row of the first picture in its set, from which augmented copies follow.
    Values beyond float16 (65,504) are clamped to it. Raises WorkError when the backbone yields NaN.
    """
    backbone.to(device)
    size = batch_size or batch_images(spec.image_size, device)
    number, look = copy_of(spec.view)
    parts: dict[str, list[np.ndarray]] = {}
    for start in range(0, len(images), size):
        batch = torch.from_numpy(np.array(images[start : start + size])).to(device)  # a copy: slices may be read-only
        batch, view = squares_within(batch, spec.fit, spec.side), look
        if spec.recipe is not None:
            batch, view = at_tile(batch, look)
            batch = augmented_copy(batch, first + start, number, spec.recipe)
        dtype = autocast_dtype(batch.device, precision)
        with torch.autocast(batch.device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            pooled: dict[str, Tensor] = backbone(batch, spec.image_size, columns, view)
        for name, values in pooled.items():
            parts.setdefault(name, []).append(to_fp16(name, values))
    return {name: np.concatenate(arrays) for name, arrays in parts.items()}


def to_fp16(name: str, pooled: Tensor) -> np.ndarray:
    """float32 -> float16 on the host, clamped to its finite range. Raises WorkError for NaN."""
    if pooled.isnan().any():
        raise WorkError(
            f"features {name}: the backbone yields NaN; its weights do not belong to this network or are damaged"
        )
    array: np.ndarray = pooled.clamp(-FP16_MAX, FP16_MAX).to(torch.float16).cpu().numpy()
    return array

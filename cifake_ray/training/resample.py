"""Pictures blurred, or shown or stored at another size and brought back: a strength for each, as matrices.

Each of these is linear and the same for every row and every column, so that one is a matrix of `side` x `side` values a
picture and direction, and a batch two products of matrices. The pictures of a batch need not share a strength, and no
picture depends on the others. A blur of 3 px took a tenth of the time of as many shifted sums at 224 px.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from cifake_ray.models.views import reflect

_NO_BLUR = 1e-3  # pixels: the image unchanged
_AT_ONCE = 1 << 24  # values of the matrices of pictures that are worked on at once: 64 MB each


def blurred(images: Tensor, sigma: Tensor, largest: float) -> Tensor:
    """uint8 [n, h, w, 3] under a sampled Gaussian of `sigma` pixels, float32 [n], up to `largest`; borders reflected.

    The kernel ends at three times `largest`.
    """
    radius = math.ceil(3 * largest)
    offsets = torch.arange(-radius, radius + 1, device=images.device)

    def way(rows: slice, axis: int) -> Tensor:
        side = images.shape[1 + axis]
        kernel = torch.exp(-0.5 * (offsets / sigma[rows, None].clamp_min(_NO_BLUR)).square())
        at = torch.arange(side, device=images.device)
        sources = reflect(at[:, None] + offsets, side)
        moved = (sources[..., None] == at).float()  # [side, offsets, side]
        return torch.einsum("no,iok->nik", kernel / kernel.sum(1, keepdim=True), moved)

    return _applied(images, way, 1.0)


def through_size(images: Tensor, factor: Tensor) -> Tensor:
    """uint8 [n, h, w, 3], each reduced to `factor` (float32 [n], at most 1) of its size and enlarged again.

    Bilinear, antialiased when reducing (a triangle as wide as the step), as picture libraries do by default.
    """

    def way(rows: slice, axis: int) -> Tensor:
        side = images.shape[1 + axis]
        return _there_and_back(side, side, factor[rows], torch.zeros_like(factor[rows]), antialiased=True)

    return _applied(images, way, 1.0)


def through_screen(images: Tensor, zoom: Tensor, phase: Tensor, largest: float) -> Tensor:
    """uint8 [n, h, w, 3], each shown at `zoom` (float32 [n], up to `largest`) of its size, captured and brought back.

    A screen interpolates between the two nearest pixels, reduced or enlarged, and its grid of pixels lies `phase` of a
    pixel beside the picture's: float32 [n, 2], down and across. The way back is antialiased.
    """

    def way(rows: slice, axis: int) -> Tensor:
        side = images.shape[1 + axis]
        return _there_and_back(side, math.ceil(largest * side), zoom[rows], phase[rows, axis], antialiased=False)

    return _applied(images, way, largest)


def _there_and_back(side: int, most: int, factor: Tensor, phase: Tensor, *, antialiased: bool) -> Tensor:
    """float32 [n, side, side]: resampling of `side` values to round(factor x side), at most `most`, and back to `side`.

    `most` does not follow from the pictures at hand, so that sums are the same in whichever share a picture is.
    """
    count = (factor * side).round().clamp(1, most)
    there = _weights(most, side, side / count, phase, torch.full_like(count, side), antialiased=antialiased)
    still = torch.zeros_like(phase)
    return _weights(side, most, count / side, still, count, antialiased=True) @ there


def _weights(outputs: int, inputs: int, step: Tensor, phase: Tensor, held: Tensor, *, antialiased: bool) -> Tensor:
    """float32 [n, outputs, inputs]: weights of a triangle around each output's place among the first `held` inputs."""
    places = (torch.arange(outputs, device=step.device) + 0.5) * step[:, None] - 0.5 + phase[:, None]
    places = places.clamp_min(0).minimum(held[:, None] - 1)
    width = step.clamp_min(1) if antialiased else torch.ones_like(step)
    sources = torch.arange(inputs, device=step.device)
    weights = (1 - (sources - places[..., None]).abs() / width[:, None, None]).clamp_min(0)
    weights = weights * (sources < held[:, None, None])
    return weights / weights.sum(2, keepdim=True)


def _applied(images: Tensor, way: Callable[[slice, int], Tensor], largest: float) -> Tensor:
    """The images under the matrices `way(rows, axis)`: float32 [n, h, h] for columns (axis 0), [n, w, w] for rows."""
    size = max(1, int(_AT_ONCE / (largest * max(images.shape[1:3]) ** 2)))
    pieces = [slice(start, start + size) for start in range(0, len(images), size)]
    found = []
    for rows in pieces:
        planes = images[rows].permute(0, 3, 1, 2).float()
        moved = way(rows, 0)[:, None] @ planes @ way(rows, 1)[:, None].transpose(2, 3)
        found.append(moved.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1))
    return torch.cat(found)

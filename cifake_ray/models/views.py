"""Views of an image: its mirror, or itself shifted by some pixels. Predictions over several views are averaged."""

import torch
from torch import Tensor

_DIRECTIONS = {"left": (2, 1), "right": (2, -1), "up": (1, 1), "down": (1, -1)}  # axis of [n, h, w, c], sign


def apply_view(images: Tensor, view: str) -> Tensor:
    """uint8 [n, h, w, 3] -> the same: `identity`, or steps joined by `-`: `flip`, `left2`, `up1`, `flip-left2`.

    What a shift uncovers is filled by reflection at the border pixel.
    """
    for step in view.split("-"):
        if step == "flip":
            images = images.flip(2)
        elif step != "identity":
            axis, sign = _DIRECTIONS[step[:-1]]
            size = images.shape[axis]
            images = images.index_select(
                axis, reflect(torch.arange(size) + sign * int(step[-1]), size).to(images.device)
            )
    return images


def reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0..size-1 mirrored at the border pixel, which is not repeated (numpy's `reflect`)."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)

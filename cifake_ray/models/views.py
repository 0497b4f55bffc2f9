"""Looks of a network: views of an image (mirrored, shifted by some pixels) and tiles of a picture.

Predictions over several looks are averaged. A look is a view, or `tile3/` and a view. Behind `copy2/` it is a look at
an augmented copy of a train picture; such looks train heads and judge nothing.
"""

import torch
from torch import Tensor

from cifake_ray.experiment import TILES

_DIRECTIONS = {"left": (2, 1), "right": (2, -1), "up": (1, 1), "down": (1, -1)}  # axis of [n, h, w, c], sign


def squares_within(images: Tensor, fit: str, side: int) -> Tensor:
    """The squares that `fit` makes of images held in a size of their own: uint8 [n, h, h, 3] -> [n, s, s, 3], or tiles
    [n, t, s, s, 3]. Images that are squares of `side` pixels already, or tiles, stay as they are.

    `crop` and `tiles` do not change a smaller image: the network's input is enlarged later.
    """
    held = images.shape[-2]
    if fit == "resize" or images.ndim == 5 or (held == side and fit != "tiles"):
        return images
    if held < side:
        if fit == "repeat":
            index = torch.arange(side, device=images.device) % held
            return images[:, index][:, :, index]
        return images if fit == "crop" else images[:, None].expand(-1, TILES, -1, -1, -1)
    middle, far = (held - side) // 2, held - side
    corners = [(middle, middle)]
    if fit == "tiles":
        corners += [(top, left) for top in (0, far) for left in (0, far)]
    tiles = [images[:, top : top + side, left : left + side] for top, left in corners]
    return torch.stack(tiles, dim=1) if fit == "tiles" else tiles[0]


def apply_view(images: Tensor, look: str) -> Tensor:
    """The images uint8 [n, h, w, 3] under a look: `identity`, or steps joined by `-`: `flip`, `left2`, `flip-left2`.

    Of tiles, uint8 [n, t, h, w, 3], the look names one: `tile3/flip`. What a shift uncovers is filled by reflection at
    the border pixel.
    """
    images, view = at_tile(images, look)
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


def at_tile(images: Tensor, look: str) -> tuple[Tensor, str]:
    """The images in the tile that a look names, if it names one, and the view that is left of the look."""
    tile, _, view = look.rpartition("/")
    return (images[:, int(tile.removeprefix("tile"))] if tile else images), view


def copy_of(look: str) -> tuple[int, str]:
    """The number of the augmented copy, 0 for pictures as they are, and the look at it: `copy2/tile3/flip`."""
    first, _, rest = look.partition("/")
    return (int(first.removeprefix("copy")), rest) if first.startswith("copy") else (0, look)


def reflect(index: Tensor, size: int) -> Tensor:
    """Indices outside 0..size-1 mirrored at the border pixel, which is not repeated (numpy's `reflect`)."""
    index = index.abs()
    return torch.where(index >= size, 2 * (size - 1) - index, index)

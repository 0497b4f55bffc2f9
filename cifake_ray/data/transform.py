"""The named transform: how a picture of any size becomes the squares that a model sees. NumPy and Pillow alone."""

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple, cast, get_args

import numpy as np
from PIL import Image

from cifake_ray.data.neutral import NeutralEncoding, neutral_encoding
from cifake_ray.data.resampling import resize
from cifake_ray.fits import TILES, Fit

if TYPE_CHECKING:
    from cifake_ray.experiment import ModelSettings, Neutral
    from cifake_ray.runs.records import TransformNote

SQUEEZED = "squeezed to a square"
RESIZED = "resized from another size (Lanczos)"
HAMMING = "resized from another size (Hamming)"
BILINEAR = "resized from another size (bilinear)"
ENLARGED = "enlarged, being smaller than the square"
_STRIP = 16  # how many times its width a picture is long at most when it is enlarged
REPEATED = "repeated, being smaller than the square"
_NAME = re.compile(
    rf"(?P<fit>{'|'.join(get_args(Fit))})-(?P<side>\d+)(?P<reduced>-reduced)?(?P<bilinear>-bilinear)?"
    r"(-room(?P<room>\d+))?"
)


@dataclass(frozen=True)
class Transform:
    """From a picture to squares of `side` pixels.

    `fit`: `resize` takes the whole picture (antialiased, the shape not kept); `crop` the centred square of native
    pixels; `tiles` the centred square and the four corners. `crop` and `tiles` enlarge a smaller picture until the
    picture covers the square; `repeat` is `crop` that repeats a smaller picture side by side instead.
    `reduced`: a JPEG is decoded at the smallest of 1/8, 1/4, 1/2 and 1 that still covers the square.
    `bilinear`: whole pictures are resized as in `resampling.py`. Without it Pillow resizes them by Lanczos' kernel, as
    all sets held in one small size, or by Hamming's after a reduced scale, as runs of November 2026.
    `room`: hold up to `room` native pixels a side, for the augmentation `window`; 0 holds the square alone.
    `neutral`: encoding applied to each picture first; None where the pictures need none or have been encoded already.
    """

    fit: Fit = "resize"
    side: int = 32
    reduced: bool = False
    bilinear: bool = False
    room: int = 0
    neutral: NeutralEncoding | None = None

    @property
    def name(self) -> str:
        """`crop-224`, `resize-224-reduced-bilinear`, `crop-128-room256`: part of the key of everything made so."""
        room = f"-room{self.room}" if self.room else ""
        encoding = f"-{self.neutral.name}" if self.neutral else ""
        return f"{self.fit}-{self.side}{'-reduced' * self.reduced}{'-bilinear' * self.bilinear}{room}{encoding}"

    @classmethod
    def named(cls, name: str) -> "Transform":
        """The transform of this `name`. Raises ValueError for any other text."""
        found = _NAME.fullmatch(name)
        if found is None:
            raise ValueError(f"{name}: no transform")
        fit, side, room = cast("Fit", found["fit"]), int(found["side"]), int(found["room"] or 0)
        return cls(fit, side, bool(found["reduced"]), bool(found["bilinear"]), room)

    @property
    def resizing(self) -> str:
        """The conversion of a whole picture of another size."""
        return BILINEAR if self.bilinear else HAMMING if self.reduced else RESIZED

    @property
    def native(self) -> bool:
        """Whether pictures are seen at their own scale; else as squares of one small size, in which a set is held."""
        return self.fit != "resize" or self.reduced

    @property
    def words(self) -> str:
        """The transform in words: `centred crop of 128 x 128 native pixels`."""
        square = f"{self.side} x {self.side}"
        seen = {
            "resize": f"whole picture resized to {square} pixels",
            "crop": f"centred crop of {square} native pixels",
            "repeat": f"centred crop of {square} native pixels, smaller pictures repeated",
            "tiles": f"{TILES} tiles of {square} native pixels (centre and corners)",
        }[self.fit]
        drawn = f"; in training drawn anew each epoch within {self.room} x {self.room}" if self.room else ""
        return seen + drawn

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the squares of one picture: [s, s, 3], or [t, s, s, 3] of tiles."""
        side = self.room or self.side
        return (*((TILES,) if self.fit == "tiles" else ()), side, side, 3)


class Squares(NamedTuple):
    """The squares of one picture: uint8 of `Transform.shape`; and the conversions that were needed.

    `valid`: (height, width, top, left): how much of the held square has native pixels, and where the centred square of
    `side` pixels lies in the held square.
    """

    pixels: np.ndarray
    valid: tuple[int, int, int, int]
    conversions: tuple[str, ...] = ()


def model_transform(model: "ModelSettings", side: int | None) -> Transform:
    """The transform of a model trained on pictures that all have this side, or (None) many sizes.

    Pictures of one small size are held as delivered; the device then applies the model's `fit` and `image_size`.
    """
    if side is not None:
        return Transform("resize", side)
    return native_transform(model.fit, model.largest_size)


def native_transform(fit: Fit, side: int) -> Transform:
    """The transform of pictures of many sizes: a whole picture is decoded at the scale that covers the square."""
    return Transform(fit, side, reduced=fit == "resize", bilinear=fit == "resize")


def note_of(transform: Transform, neutral: "Neutral | None") -> "TransformNote":
    """The note of a trained model's transform for model.json; neutral: encoding of the pictures it was trained on."""
    from cifake_ray.runs.records import TransformNote

    return TransformNote(
        name=transform.name, fit=transform.fit, side=transform.side, reduced=transform.reduced, neutral=neutral
    )


def noted_transform(note: "TransformNote") -> Transform:
    """The transform of a trained model by model.json, with the neutral encoding that the model needs.

    Raises ValueError for a name that this version does not know. A note without a name is of an earlier version.
    """
    neutral = neutral_encoding(note.neutral, 0)
    found = Transform.named(note.name) if note.name else Transform(note.fit, note.side, note.reduced)
    return replace(found, neutral=neutral.middle() if neutral else None)


def to_squares(picture: Image.Image | np.ndarray, transform: Transform) -> Squares:
    """The squares of a picture in RGB, or of its pixels, uint8 [h, w, 3]."""
    side = transform.side
    if transform.fit == "resize":
        return _resized(picture, transform)
    pixels, conversions = _covering(picture, transform)
    height, width = pixels.shape[:2]
    top, left = (height - side) // 2, (width - side) // 2
    if transform.fit == "tiles":
        corners = [(top, left), *((y, x) for y in (0, height - side) for x in (0, width - side))]
        tiles = np.stack([pixels[y : y + side, x : x + side] for y, x in corners])
        return Squares(tiles, (side, side, 0, 0), conversions)
    room = transform.room or side
    at = tuple(max((length - room) // 2, 0) for length in (height, width))
    held = pixels[at[0] : at[0] + room, at[1] : at[1] + room]
    square = held
    if held.shape[:2] != (room, room):
        square = np.zeros((room, room, 3), np.uint8)
        square[: held.shape[0], : held.shape[1]] = held
    return Squares(square, (held.shape[0], held.shape[1], top - at[0], left - at[1]), conversions)


def conversions_under(transform: Transform, sizes: np.ndarray) -> dict[str, int]:
    """How many pictures of these sizes, int [n, 2] in pixels, the transform resizes, squeezes, enlarges or repeats."""
    width, height, side = sizes[:, 0], sizes[:, 1], transform.side
    if transform.fit == "resize":
        found = {transform.resizing: (width != side) | (height != side), SQUEEZED: width != height}
    else:
        found = {REPEATED if transform.fit == "repeat" else ENLARGED: np.minimum(width, height) < side}
    return {what: count for what, which in found.items() if (count := int(np.count_nonzero(which)))}


def _image(picture: Image.Image | np.ndarray) -> Image.Image:
    return Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture


def _resized(picture: Image.Image | np.ndarray, transform: Transform) -> Squares:
    """The whole picture as one square. Every kernel is widened when shrinking."""
    side = transform.side
    valid = (side, side, 0, 0)
    height, width = picture.shape[:2] if isinstance(picture, np.ndarray) else picture.size[::-1]
    if (width, height) == (side, side):
        return Squares(np.asarray(picture), valid)
    if transform.bilinear:
        pixels = resize(np.asarray(picture), side)
    else:
        kernel = Image.Resampling.HAMMING if transform.reduced else Image.Resampling.LANCZOS
        pixels = np.asarray(_image(picture).resize((side, side), kernel))
    return Squares(pixels, valid, (transform.resizing, *(() if width == height else (SQUEEZED,))))


def _covering(picture: Image.Image | np.ndarray, transform: Transform) -> tuple[np.ndarray, tuple[str, ...]]:
    """The pixels, uint8 [h, w, 3], at least `side` high and wide: a smaller picture is enlarged or repeated.

    Of a strip that is to be enlarged the middle is taken: a whole strip of 1 x 60,000 pixels would need gigabytes.
    """
    pixels, side = np.asarray(picture), transform.side
    shortest = min(pixels.shape[:2])
    if shortest >= side:
        return pixels, ()
    if transform.fit != "repeat" and max(pixels.shape[:2]) > _STRIP * shortest:
        cut = tuple(slice((length - _STRIP * shortest) // 2, (length + _STRIP * shortest) // 2)
                    if length > _STRIP * shortest else slice(None) for length in pixels.shape[:2])  # fmt: skip
        picture = pixels = np.ascontiguousarray(pixels[cut])
    if transform.fit == "repeat":
        rows, columns = (np.arange(max(length, side)) % length for length in pixels.shape[:2])
        return pixels[rows[:, None], columns[None, :]], (REPEATED,)
    height, width = (max(side, round(length * side / shortest)) for length in pixels.shape[:2])
    return np.asarray(_image(picture).resize((width, height), Image.Resampling.LANCZOS)), (ENLARGED,)

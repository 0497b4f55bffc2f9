"""The ways in which a picture becomes squares (`model.fit`): words of experiments and transforms."""

from typing import Literal

Fit = Literal["resize", "crop", "tiles", "repeat"]
WINDOWED = ("crop", "repeat")  # fits whose square may be drawn anew within the picture
TILES = 5  # centre and four corners, as Krizhevsky, Sutskever and Hinton (2012) average them, without their mirrors

"""One encoding for the pictures of both classes, so that no file property tells them apart (`data.neutral`)."""

import hashlib
import io
from typing import TYPE_CHECKING, NamedTuple

from PIL import Image

if TYPE_CHECKING:
    from cifake_ray.experiment import Neutral


class NeutralEncoding(NamedTuple):
    """JPEG of a quality from `lowest` to `highest`, drawn for each picture from its pixels and `seed`.

    `size`: pixels of the longer side, to which larger pictures are reduced first; None reduces no picture.
    """

    lowest: int
    highest: int
    size: int | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """`jpeg90-100-max512-seed0`: part of the key of everything made from the pictures."""
        drawn = f"-seed{self.seed}" if self.lowest < self.highest else ""
        return f"jpeg{self.lowest}-{self.highest}{f'-max{self.size}' if self.size else ''}{drawn}"

    @property
    def said(self) -> str:
        """The conversion of a picture in words, as counted in `ImageSet.converted`."""
        quality = f"{self.lowest}" if self.lowest == self.highest else f"{self.lowest} to {self.highest}"
        return f"re-encoded as JPEG of quality {quality}" + (f", at most {self.size} px" if self.size else "")

    def middle(self) -> "NeutralEncoding":
        """The encoding for pictures to be judged: the middle quality for every picture."""
        quality = (self.lowest + self.highest) // 2
        return NeutralEncoding(quality, quality, self.size)

    def quality(self, digest: bytes) -> int:
        """The quality for the picture whose pixels have this SHA-256."""
        drawn = int.from_bytes(hashlib.sha256(digest + str(self.seed).encode()).digest()[:8])
        return self.lowest + drawn % (self.highest - self.lowest + 1)

    def encoded(self, picture: Image.Image, digest: bytes) -> bytes:
        """The encoded picture; `picture`: RGB. 4:2:0 and the standard tables, no metadata."""
        if self.size and max(picture.size) > self.size:
            scale = self.size / max(picture.size)
            sides = (max(round(length * scale), 1) for length in picture.size)
            picture = picture.resize((next(sides), next(sides)), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=self.quality(digest), subsampling=2)
        return stream.getvalue()


def neutral_encoding(settings: "Neutral | None", seed: int) -> NeutralEncoding | None:
    """The encoding that `data.neutral` describes; None without the key. seed: of the split."""
    return None if settings is None else NeutralEncoding(*settings.quality, settings.size, seed)

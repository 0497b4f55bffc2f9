"""Delivery tiers: test pictures as a web page and a messenger hand them on, both classes alike.

One rule: a picture whose longer side is above the tier's is reduced to it (Lanczos), none is enlarged, and then every
picture is saved as JPEG, 4:2:0, at the tier's quality. The model's own transform comes after that, as for any file. Of
pictures of 32 px the JPEG alone is left. Tiers and sizes are those of Phineas1500/sieve-ai-image-detector.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import Part
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.streaming import stream_squares
from cifake_ray.data.transform import Transform
from cifake_ray.detector.domain import judge_domain
from cifake_ray.detector.module import Detector
from cifake_ray.detector.verdict import outside_of
from cifake_ray.runs.records import Domain


@dataclass(frozen=True)
class Tier:
    """`size`: pixels of the longer side, to which larger pictures are reduced; `quality`: of the JPEG."""

    name: str
    size: int
    quality: int

    @property
    def words(self) -> str:
        """The tier in tables and figures: `web: up to 768 px, JPEG 60`."""
        return f"{self.name}: up to {self.size} px, JPEG {self.quality}"

    def squares(self, part: Part, transform: Transform) -> Iterator[tuple[slice, np.ndarray]]:
        """`stream_squares` of the pictures after this delivery."""
        encoding = NeutralEncoding(self.quality, self.quality, self.size)
        return stream_squares(part, replace(transform, neutral=encoding))


TIERS = (Tier("web", 768, 60), Tier("hard", 512, 40))  # beside `clean`: the pictures as they are


def judge_on_tiers(
    detector: Detector, part: Part, domain: Domain | None
) -> Iterator[tuple[Tier, np.ndarray, np.ndarray]]:
    """Each tier, with the detector's logits of the pictures as delivered in it, float64 [n], and which of these are
    outside the domain, bool [n]."""
    for tier in TIERS:
        logits, outside, done = np.empty(len(part)), np.zeros(len(part), bool), 0
        sizes = part.table.sizes
        reduced = np.minimum(1, tier.size / sizes.max(axis=1, keepdims=True)) * sizes
        with progress(f"test images as delivered, {tier.name}") as update:
            for rows, squares in tier.squares(part, detector.transform):
                logits[rows] = detector.logits(squares)
                outside[rows] = outside_of(judge_domain(domain, squares, reduced[rows].round().astype(int).tolist()))
                update(done := done + len(squares), len(part))
        yield tier, logits, outside

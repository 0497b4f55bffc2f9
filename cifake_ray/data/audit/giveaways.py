"""Whether file format or size tells FAKE from REAL: a model may then learn these and not what is generated."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from cifake_ray.data.labels import LABELS

MOST = 0.95  # of the images, both classes weighing alike, whose label a property may tell without a warning
_RARE = 0.01  # share of the images below which a value counts with the other rare ones: single sizes tell by chance
_SUFFIXES = {
    "jpg": "JPEG", "jpeg": "JPEG", "png": "PNG", "webp": "WEBP", "bmp": "BMP", "gif": "GIF", "tif": "TIFF",
    "tiff": "TIFF", "avif": "AVIF", "jp2": "JPEG2000", "ppm": "PPM",
}  # fmt: skip

Tallies = Mapping[str, Mapping[str, int]]  # label -> value -> images


def giveaway(what: str, tallies: Tallies) -> str | None:
    """One sentence when `what` (format, size) alone tells the label of more than 95 % of the images; None otherwise."""
    total = sum(sum(tally.values()) for tally in tallies.values())
    pooled = [_pooled(tallies.get(label, {}), tallies, max(2.0, _RARE * total)) for label in LABELS]
    if not all(pooled):
        return None
    shares = [{value: count / tally.total() for value, count in tally.items()} for tally in pooled]
    told = sum(max(share.get(value, 0) for share in shares) for value in set(pooled[0]) | set(pooled[1])) / len(LABELS)
    if told <= MOST:
        return None
    most = ", ".join(
        f"{label} mostly {tally.most_common(1)[0][0]}" for label, tally in zip(LABELS, pooled, strict=True)
    )
    return (
        f"the {what} of a file alone tells FAKE from REAL for {100 * told:.0f} % of the images ({most}): a model may "
        f"learn the {what} instead of what is generated; give both classes the same"
    )


def _pooled(tally: Mapping[str, int], tallies: Tallies, fewest: float) -> Counter[str]:
    """The tally with values that fewer than `fewest` images of all classes have as one value."""
    pooled: Counter[str] = Counter()
    for value, count in tally.items():
        pooled[value if sum(other.get(value, 0) for other in tallies.values()) >= fewest else "various"] += count
    return pooled


def giveaways_of(labels: np.ndarray, formats: Sequence[str], sizes: np.ndarray | None = None) -> list[str]:
    """What format and size, int [n, 2] in pixels, tell of images; nothing where one is not known ("", None)."""
    properties = {"format": [] if "" in formats else list(formats)}
    properties["size"] = [] if sizes is None else [f"{width}x{height}" for width, height in sizes.tolist()]
    said = (giveaway(what, _tallies(labels, values)) for what, values in properties.items())
    return [sentence for sentence in said if sentence]


def formats_of(names: np.ndarray) -> list[str]:
    """The format that each file name ends in; "" where that is none."""
    return [_format(name) for name in names.tolist()]


def _format(name: str) -> str:
    """The format that a file name ends in; empty where that is none."""
    return _SUFFIXES.get(name.rpartition(".")[2].lower(), "")


def _tallies(labels: np.ndarray, values: list[str]) -> Tallies:
    pairs = list(zip(labels.tolist(), values, strict=False))
    return {label: Counter(value for of, value in pairs if of == code) for code, label in enumerate(LABELS)}

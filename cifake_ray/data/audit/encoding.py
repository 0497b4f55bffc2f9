"""What the headers of encoded pictures say: format, mode, size, and the quantisation tables of a JPEG."""

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from cifake_ray.data.decoding.decode import Item, UnreadableError, read_item
from cifake_ray.data.decoding.workers import Items, in_batches

_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
Tables = tuple[tuple[int, ...], ...]  # luma, chroma: 64 values each


@dataclass(frozen=True)
class Header:
    """`tables` and `subsampling` are those of a JPEG, else empty."""

    format: str
    mode: str
    size: tuple[int, int]  # pixels, width before height
    tables: Tables = ()
    subsampling: str = ""


Headers = tuple[list[Header | None], np.ndarray]  # different headers (None: unreadable), which of them each image has


def read_headers(items: Items) -> Headers:
    """The different headers, and int64 [n]: which of them each picture has. All cores."""
    number: dict[Header | None, int] = {}
    which = np.empty(len(items), dtype=np.int64)
    with closing(in_batches(headers_of, items)) as batches:
        for start, (headers, some) in batches:
            places = np.array([number.setdefault(header, len(number)) for header in headers], dtype=np.int64)
            which[start : start + len(some)] = places[some]
    return list(number), which


def headers_of(items: Sequence[Item]) -> Headers:
    """As `read_headers`, in this process."""
    number: dict[Header | None, int] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        which = [number.setdefault(_header(item), len(number)) for item in items]
    return list(number), np.array(which, dtype=np.int64)


def _header(item: Item) -> Header | None:
    try:
        with Image.open(io.BytesIO(read_item(item))) as image:
            tables: Tables = ()
            subsampling = ""
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                tables = tuple(tuple(table) for table in image.quantization.values())
                subsampling = _SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other")
            return Header(image.format or "", image.mode, image.size, tables, subsampling)
    except UnreadableError:
        return None
    except Exception:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, … of a broken header
        return None


def tally_headers(headers: list[Header | None], which: np.ndarray) -> Counter[Header]:
    """How many images have each header; those without a readable one are left out."""
    counts = np.bincount(which, minlength=len(headers)).tolist()
    found = zip(headers, counts, strict=True)
    return Counter({header: count for header, count in found if header is not None and count})


def describe_files(tally: Counter[Header]) -> dict[str, dict[str, int]]:
    """Images of each format, mode and size, most frequent first."""
    counts: dict[str, Counter[str]] = {"formats": Counter(), "modes": Counter(), "sizes": Counter()}
    for header, images in tally.items():
        counts["formats"][header.format] += images
        counts["modes"][header.mode] += images
        counts["sizes"][f"{header.size[0]}x{header.size[1]}"] += images
    return {kind: dict(counted.most_common()) for kind, counted in counts.items()}


def describe_tables(tally: Counter[Header]) -> list[dict[str, Any]]:
    """Each different set of JPEG quantisation tables with its images, most frequent first."""
    counts: Counter[tuple[Tables, str]] = Counter()
    for header, images in tally.items():
        if header.tables:
            counts[header.tables, header.subsampling] += images
    described: list[dict[str, Any]] = []
    for (tables, subsampling), images in counts.most_common():
        quality, exact = jpeg_quality(tables)
        entry = {"images": images, "quality": quality, "quality_is_exact": exact, "subsampling": subsampling}
        sums = [sum(table) for table in tables]
        described.append(entry | {"sums": sums, "tables": [list(table) for table in tables]})
    return described


def jpeg_quality(tables: Tables) -> tuple[int, bool]:
    """The quality 1..100 whose tables, as libjpeg scales them, are nearest; and whether they are exactly these."""
    distance = {quality: _distance(tables, standard) for quality, standard in _standard_tables().items()}
    nearest = min(distance, key=lambda quality: (distance[quality], quality))
    return nearest, distance[nearest] == 0


def _distance(tables: Tables, standard: Tables) -> int:
    return sum(int(np.abs(np.subtract(ours, theirs)).sum()) for ours, theirs in zip(tables, standard, strict=False))


@lru_cache(1)
def _standard_tables() -> dict[int, Tables]:
    """Luma and chroma tables at each quality, as the libjpeg in Pillow writes them."""
    tables = {}
    for quality in range(1, 101):
        stream = io.BytesIO()
        Image.new("RGB", (8, 8)).save(stream, "JPEG", quality=quality)
        header = _header(stream.getvalue())
        assert header is not None
        tables[quality] = header.tables
    return tables

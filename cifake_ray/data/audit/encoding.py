"""Headers of encoded pictures: format, mode, size, metadata, and the quantisation tables of a JPEG."""

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from PIL import Image, JpegImagePlugin

from cifake_ray.data.decoding.decode import neutralised
from cifake_ray.data.decoding.items import Item, UnreadableError, read_item
from cifake_ray.data.decoding.workers import BATCH, Items, in_batches
from cifake_ray.data.neutral import NeutralEncoding

_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
METADATA = ("EXIF", "ICC profile", "XMP", "C2PA", "text")
_XMP = "XML:com.adobe.xmp"  # a PNG's text of this keyword
_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")  # the uuid box of AVIF and HEIC
_DIGEST = 16  # bytes
_BATCHES = {True: BATCH, False: 16}  # pictures at a time: headers alone, or each decoded and encoded
Tables = tuple[tuple[int, ...], ...]  # luma, chroma: 64 values each


@dataclass(frozen=True)
class Header:
    """Header of a picture. `tables`, `subsampling`: of a JPEG, else empty. `metadata`: METADATA in the file."""

    format: str
    mode: str
    size: tuple[int, int]  # pixels, width before height
    tables: Tables = ()
    subsampling: str = ""
    progressive: bool = False
    metadata: tuple[str, ...] = ()


@dataclass(frozen=True)
class Headers:
    """Headers of n pictures, each different header once.

    different: None if unreadable; which: int64 [n], positions in `different`; bytes: int64 [n], of the
    encoded picture; digests: bytes [n], `S16`, equal for equal files.
    """

    different: list[Header | None]
    which: np.ndarray
    bytes: np.ndarray
    digests: np.ndarray

    @property
    def readable(self) -> np.ndarray:
        """Which pictures have a readable header: bool [n]."""
        known = np.array([header is not None for header in self.different], dtype=bool)
        return known[self.which] if len(known) else np.zeros(0, dtype=bool)


def read_headers(items: Items, neutral: NeutralEncoding | None = None) -> Headers:
    """The headers of encoded pictures, or of these pictures in the neutral encoding; read on all cores."""
    number: dict[Header | None, int] = {}
    which, sizes = np.empty(len(items), np.int64), np.empty(len(items), np.int64)
    digests = np.empty(len(items), f"S{_DIGEST}")
    with closing(in_batches(partial(headers_of, neutral=neutral), items, _BATCHES[neutral is None])) as batches:
        for rows, some in batches:
            places = np.array([number.setdefault(header, len(number)) for header in some.different], dtype=np.int64)
            which[rows], sizes[rows], digests[rows] = places[some.which], some.bytes, some.digests
    return Headers(list(number), which, sizes, digests)


def headers_of(items: Sequence[Item], neutral: NeutralEncoding | None = None) -> Headers:
    """The headers as `read_headers` returns them, read in this process."""
    number: dict[Header | None, int] = {}
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in items:
            data = _read(item, neutral)
            rows.append((number.setdefault(_header(data), len(number)), len(data), _digest(data)))
    which, sizes, digests = zip(*rows, strict=True) if rows else ((), (), ())
    return Headers(list(number), np.array(which, np.int64), np.array(sizes, np.int64), np.array(digests, f"S{_DIGEST}"))


def _read(item: Item, neutral: NeutralEncoding | None) -> bytes:
    """The encoded picture; b"" for an unreadable picture."""
    try:
        data = read_item(item)
        return data if neutral is None else neutralised(data, neutral)[0]
    except UnreadableError:
        return b""


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


def _header(data: bytes) -> Header | None:
    try:
        with Image.open(io.BytesIO(data)) as image:
            tables: Tables = ()
            subsampling = ""
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                tables = tuple(tuple(table) for table in image.quantization.values())
                subsampling = _SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other")
            progressive = bool(image.info.get("progressive"))
            metadata = _metadata(image, data)
            return Header(image.format or "", image.mode, image.size, tables, subsampling, progressive, metadata)
    except Exception:  # Pillow's plugins raise OSError, SyntaxError, ValueError, struct.error, … of a broken header
        return None


def _metadata(image: Image.Image, data: bytes) -> tuple[str, ...]:
    """Names of METADATA that stand before the pixels; in WebP anywhere."""
    info = image.info
    texts = set(getattr(image, "text", {}) or {}) | ({"comment"} & set(info))
    found = {
        "EXIF": bool(info.get("exif")),
        "ICC profile": bool(info.get("icc_profile")),
        "XMP": bool(info.get("xmp") or info.get(_XMP)),
        "C2PA": _has_c2pa(image, data),
        "text": bool(texts - {_XMP}),
    }
    return tuple(name for name in METADATA if found[name])


def _has_c2pa(image: Image.Image, data: bytes) -> bool:
    """Whether the file carries a C2PA manifest (C2PA specification 2.1, A.3: where each format keeps it)."""
    if isinstance(image, JpegImagePlugin.JpegImageFile):
        return any(name == "APP11" and b"jumb" in block for name, block in image.applist)
    if image.format == "PNG":
        return b"caBX" in data[: max(data.find(b"IDAT"), 0)]
    if image.format == "WEBP":
        return b"C2PA" in data
    return _C2PA_BOX in data


def tally_headers(headers: Headers, chosen: np.ndarray) -> Counter[Header]:
    """How many of the chosen images, bool [n], have each header; images without a readable header are skipped."""
    counts = np.bincount(headers.which[chosen], minlength=len(headers.different)).tolist()
    found = zip(headers.different, counts, strict=True)
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
    """The quality 1..100 whose tables, as libjpeg scales them, are nearest; and whether both are equal."""
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

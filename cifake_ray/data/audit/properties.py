"""Properties of picture files that need no pixel, as columns of numbers; and the bare table of columns by class."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cifake_ray.data.audit.encoding import METADATA, Header, Headers, Tables, jpeg_quality
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import PropertyByClass, Spread

Floats = npt.NDArray[np.float64]
_RARE = 0.005  # share of the pictures below which a word counts with the other rare ones
_MOST = 40  # distinct words kept in a column; the others count as one
_SHOWN = 6  # words that the table names for each class


@dataclass(frozen=True)
class Column:
    """A column. values: float64 [n], codes of `words` where there are words; NaN where the property does not apply.

    of: the property that the column belongs to; columns of one property are judged together.
    """

    name: str
    of: str
    values: Floats
    words: tuple[str, ...] = ()


def columns_of(headers: Headers) -> list[Column]:
    """The properties of pictures whose headers are readable, in the order of the report."""
    facts = [header for header in headers.different if header is not None]
    numbered = {header: at for at, header in enumerate(facts)}
    which = np.array([numbered.get(header, 0) if header else 0 for header in headers.different])[headers.which]

    def number(name: str, of: str, value: Callable[[Header], float]) -> Column:
        return Column(name, of, np.array([value(header) for header in facts], np.float64)[which])

    def word(name: str, value: Callable[[Header], str]) -> Column:
        return _worded(name, [value(header) for header in facts], which)

    quality = {tables: jpeg_quality(tables) for tables in {header.tables for header in facts} if tables}
    pixels = number("megapixels", "size", lambda header: header.size[0] * header.size[1] / 1e6)
    return [
        word("format", lambda header: header.format),
        number("width", "size", lambda header: header.size[0]),
        number("height", "size", lambda header: header.size[1]),
        number("aspect", "size", lambda header: header.size[0] / max(header.size[1], 1)),
        pixels,
        Column("bytes a pixel", "bytes a pixel", headers.bytes / np.maximum(1e6 * pixels.values, 1)),
        number("JPEG quality", "JPEG quality", lambda header: quality.get(header.tables, (np.nan, False))[0]),
        word("JPEG tables", lambda header: _tables_word(header.tables, quality.get(header.tables))),
        word("chroma subsampling", lambda header: header.subsampling or "none"),
        word("progressive", lambda header: _yes(header.progressive)),
        *(_worded(kind, [_yes(kind in header.metadata) for header in facts], which) for kind in METADATA),
        word("colour mode", lambda header: header.mode),
    ]


def _worded(name: str, words: Sequence[str], which: np.ndarray) -> Column:
    """Codes by frequency; rare words count as one, `other`."""
    tally = Counter(words[at] for at in which.tolist())
    fewest = max(2.0, _RARE * len(which))
    kept = [word for word, images in tally.most_common(_MOST) if images >= fewest]
    code = {word: at for at, word in enumerate(kept)}
    codes = np.array([code.get(word, len(kept)) for word in words], np.float64)
    known = (*kept, "other") if len(kept) < len(tally) else tuple(kept)
    return Column(name, "JPEG quality" if name == "JPEG tables" else name, codes[which], known)


def _yes(there: bool) -> str:
    return "yes" if there else "no"


def _tables_word(tables: Tables, quality: tuple[int, bool] | None) -> str:
    """`quality 90`, `like quality 90 (sums 670, 1,003)`, or `none` where the picture is no JPEG."""
    if quality is None:
        return "none"
    if quality[1]:
        return f"quality {quality[0]}"
    return f"like quality {quality[0]} (sums {', '.join(f'{sum(table):,}' for table in tables)})"


def table_by_class(columns: Sequence[Column], labels: np.ndarray) -> list[PropertyByClass]:
    """The bare table: each column by class. labels: uint8 [n]."""
    return [_by_class(column, labels) for column in columns]


def _by_class(column: Column, labels: np.ndarray) -> PropertyByClass:
    chosen = {name: column.values[labels == label] for label, name in enumerate(LABELS)}
    if column.words:
        return PropertyByClass(name=column.name, words={name: _tally(column, some) for name, some in chosen.items()})
    return PropertyByClass(name=column.name, numbers={name: _spread(some) for name, some in chosen.items()})


def _tally(column: Column, codes: Floats) -> dict[str, int]:
    counts = np.bincount(codes.astype(np.int64), minlength=len(column.words))
    order = np.argsort(-counts, kind="stable")
    found = {column.words[at]: int(counts[at]) for at in order.tolist() if counts[at]}
    shown = dict(list(found.items())[:_SHOWN])
    rest = sum(found.values()) - sum(shown.values())
    return shown | ({"other": shown.get("other", 0) + rest} if rest else {})


def _spread(values: Floats) -> Spread | None:
    """None where no picture of the class has the property."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, median, high = (round(float(value), 4) for value in np.percentile(known, (5, 50, 95)))
    return Spread(images=len(known), low=low, median=median, high=high)


def same_for_all(column: Column) -> bool:
    """Whether no picture differs from another in this property."""
    return len(np.unique(column.values)) < 2


def matrix_of(columns: Sequence[Column]) -> tuple[Floats, np.ndarray]:
    """Columns side by side, float64 [n, columns], and which of them are words, bool [columns]."""
    return np.stack([column.values for column in columns], 1), np.array([bool(column.words) for column in columns])

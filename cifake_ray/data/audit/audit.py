"""The audit of a data set: counts, copies, look-alikes, contradicting labels, encodings of the files."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.audit.bias import bias_of_files, groups_of, measure_bias
from cifake_ray.data.audit.encoding import describe_files, describe_tables, read_headers, tally_headers
from cifake_ray.data.audit.near_duplicates import Pairs, near_pairs
from cifake_ray.data.build import (
    ENCODED,
    Arrays,
    as_array,
    chosen_card,
    decode_parts,
    joined_parts,
    part_fingerprint,
    set_fingerprint,
    table_of_arrays,
)
from cifake_ray.data.datasets import sample
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.decoding.workers import thumbnails
from cifake_ray.data.labels import PARTS, VALIDATION
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.refusals import skipped_notes
from cifake_ray.data.sources.find import SAMPLE, Encoded, find_source
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.data.stratify import Indices, copies_of
from cifake_ray.data.table import ImageTable, content_digest, fingerprint_v2, joined
from cifake_ray.data.taken import tally
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS
from cifake_ray.storage.cache import Staged

# Chosen by looking at CIFAKE's pairs: of 48 between 16 and 25 levels 40 show the same scene, and all of REAL do;
# beyond 25 levels more and more pairs are birds before different plain skies.
NEAR_BITS = 6  # of the 64 of the difference hash
NEAR_RMS = 25.0  # grey levels of 255, of thumbnails of 32 px
EXAMPLES = 10  # pairs named
Shown = Callable[[str, str], AbstractContextManager[Progress]]  # as console.progress: label, unit


@dataclass(frozen=True)
class _Images:
    """All parts one after another, in order of the table."""

    table: ImageTable
    pixels: np.ndarray  # uint8 [n, s, s, 3]: the pictures, or thumbnails of 32 px of pictures of any size
    parts: list[str]
    part: Indices  # int64 [n], positions in `parts`

    def place(self, row: int) -> str:
        """`train/FAKE/0001.jpg`."""
        return f"{self.parts[self.part[row]]}/{LABELS[self.table.labels[row]]}/{self.table.names[row]}"


def audit_source(source: str, show: Shown, reading: Reading = PLAIN) -> dict[str, Any]:
    """Everything that `data audit` prints, as JSON values; also of one part, one class or a damaged set.

    Raises InputError: a source that is missing or has no readable image.
    """
    found = find_source(source, needed=(), reading=reading.without_test())
    contents = found.read()
    encoded = contents.parts
    neutral = reading.neutral
    with show("decoding images", "images") as update:
        decoded = None if found.kind == SAMPLE else decode_parts(encoded, update, neutral)
    if decoded is None:
        drawn, skipped = sample.build_sample(), list[dict[str, str]]()
        arrays, table = dict[str, Any](drawn), table_of_arrays(drawn)
        card, images = sample.CARD, _joined(arrays, table, show)
    else:
        try:
            skipped = skipped_notes(encoded, decoded.skipped)
            arrays, table = joined_parts(encoded, decoded)
            _check_some(source, table, skipped)
            card, images = chosen_card(reading, table), _joined(arrays, table, show)
        finally:
            decoded.discard()
    name = neutral.name if neutral else ""
    prints = {part: part_fingerprint(part, arrays, table, name) for part in images.parts}
    copies = copies_of(images.table.digests)
    return {
        "schema": 2,
        "source": source,
        "kind": found.kind,
        "generated": card.generated,
        "fingerprint": set_fingerprint(prints) if set(prints) == set(PARTS) else None,
        "content": {part: content_digest(table.of_part(part)) for part in images.parts},
        "card": card.name,
        "fingerprint_v2": fingerprint_v2(images.table),
        "counts": {part: _counts(images.table.of_part(part).with_groups(card), card) for part in images.parts},
        "said": list(contents.said),
        "left": [left.as_note() for left in contents.left],
        "undecodable": {"images": len(skipped), "files": skipped},
        "exact_duplicates": _exact(images, copies),
        "near_duplicates": _near(images, copies),
        "label_conflicts": _conflicts(images, copies),
        **_encodings(encoded, card, neutral),
    }


def _check_some(source: str, table: ImageTable, skipped: list[dict[str, str]]) -> None:
    if not len(table):
        raise InputError(
            f"{source}: no readable image among {len(skipped):,}{_first(skipped)}", "mend them or fetch them again"
        )


def _encodings(encoded: Mapping[str, Encoded], card: Card, neutral: NeutralEncoding | None) -> dict[str, Any]:
    """Formats, modes, sizes and JPEG quantisation tables of each class, and how far these separate the classes.

    `neutral_bias`: how far the classes are separated once the pictures are in the neutral encoding. Empty for the
    sample of 32 px, which has no files.
    """
    if not encoded:
        return {"bias": None, "encoding": {}, "jpeg": {}}
    after = {"neutral": neutral.name, "neutral_bias": bias_of_files(encoded, neutral).model_dump()} if neutral else {}
    headers = read_headers([item for part in encoded.values() for item in part.items])
    labels = np.concatenate([part.labels for part in encoded.values()])
    tallies = {name: tally_headers(headers, labels == label) for label, name in enumerate(LABELS)}
    return {
        "bias": measure_bias(headers, labels, groups_of(card, encoded)).model_dump(),
        "encoding": {name: describe_files(tally) for name, tally in tallies.items()},
        "jpeg": {name: describe_tables(tally) for name, tally in tallies.items()},
        **after,
    }


def _joined(arrays: Arrays, table: ImageTable, show: Shown) -> _Images:
    """Train and test first, then the other parts by name."""
    parts = list(dict.fromkeys([*(part for part in PARTS if part in table.parts), *sorted(table.parts)]))
    return _Images(
        table=joined([table.of_part(part) for part in parts]),
        pixels=_small(arrays, parts, show),
        parts=parts,
        part=np.repeat(np.arange(len(parts)), [len(as_array(arrays[f"{part}_labels"])) for part in parts]),
    )


def _small(arrays: Arrays, parts: Sequence[str], show: Shown) -> np.ndarray:
    """Pictures to be compared: decoded ones as held, packed ones as thumbnails, decoded a second time."""
    if ENCODED not in arrays:
        return np.concatenate([as_array(arrays[f"{part}_images"]) for part in parts])
    file = arrays[ENCODED]
    assert isinstance(file, Staged)
    places = np.concatenate([as_array(arrays[f"{part}_places"]) for part in parts])
    with show("comparing images", "images") as update:
        return thumbnails(EncodedPixels(file.path, places).items(slice(None)), update)


def _first(skipped: list[dict[str, str]]) -> str:
    return f" (first: {skipped[0]['name']}, {skipped[0]['reason']})" if skipped else ""


def _counts(table: ImageTable, card: Card) -> dict[str, Any]:
    """Images of each class and of each group value of source or card; values of the card are listed with 0 too."""
    counts: dict[str, Any] = {}
    for label, name in enumerate(LABELS):
        of_label = table.labels == label
        told = {
            column: dict.fromkeys(card.groups[column].values if column in card.groups else (), 0)
            | tally(codes[of_label], table.group_values(column))
            for column, codes in table.groups.items()
        }
        counts[name] = {"images": int(of_label.sum()), "groups": told}
    return counts


# --- duplicates --------------------------------------------------------------------------------------------------


def _exact(images: _Images, copies: Indices) -> dict[str, Any]:
    """Pairs of equal pixels; in a group of n images each of its n (n - 1) / 2 pairs counts."""
    first, second = _pairs_of_groups(copies)
    counts = {"pairs": _by_parts(images, first, second), **_leaked(images, first, second)}
    return counts | _named(images, first, second)


def _pairs_of_groups(copies: Indices) -> tuple[Indices, Indices]:
    """All pairs of positions with equal `copies`, the smaller first."""
    order = np.argsort(copies, kind="stable")
    firsts, seconds = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    _, starts, counts = np.unique(copies[order], return_index=True, return_counts=True)
    for start, count in zip(starts[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        one, other = np.triu_indices(count, k=1)
        group = order[start : start + count]
        firsts.append(group[one])
        seconds.append(group[other])
    return np.concatenate(firsts), np.concatenate(seconds)


def _by_parts(images: _Images, first: Indices, second: Indices) -> dict[str, int]:
    """How many pairs lie within each part and across two: {"train": 920, "test": 38, "train-test": 378}."""
    names = images.parts
    within = dict.fromkeys(names, 0) | {f"{one}-{other}": 0 for one, other in itertools.combinations(names, 2)}
    for one, other in zip(images.part[first].tolist(), images.part[second].tolist(), strict=True):
        within[names[one] if one == other else f"{names[one]}-{names[other]}"] += 1
    return within


def _leaked(images: _Images, first: Indices, second: Indices) -> dict[str, int]:
    """How many test images are in a pair with a train image; how many train with a validation image."""
    found: dict[str, int] = {}
    if images.parts[:2] == list(PARTS):
        across = (images.part[first] == 0) & (images.part[second] == 1)
        found["test_images_in_train"] = len(np.unique(second[across]))
    if VALIDATION in images.parts and images.parts[0] == "train":
        across = (images.part[first] == 0) & (images.part[second] == images.parts.index(VALIDATION))
        found["train_images_in_validation"] = len(np.unique(first[across]))
    return found


def _named(images: _Images, first: Indices, second: Indices) -> dict[str, Any]:
    some = zip(first[:EXAMPLES].tolist(), second[:EXAMPLES].tolist(), strict=True)
    return {"examples": [[images.place(one), images.place(other)] for one, other in some]}


def _near(images: _Images, copies: Indices) -> dict[str, Any]:
    pairs: Pairs = near_pairs(images.pixels, copies, max_bits=NEAR_BITS, max_rms=NEAR_RMS)
    return {
        "method": f"difference hash within {NEAR_BITS} of 64 bits and RMS difference within {NEAR_RMS:g} of 255 levels",
        "pairs": _by_parts(images, pairs.first, pairs.second),
        **_leaked(images, pairs.first, pairs.second),
        "pairs_of_both_labels": int((images.table.labels[pairs.first] != images.table.labels[pairs.second]).sum()),
        "examples": [
            {"images": [images.place(one), images.place(other)], "bits": bits, "rms": round(rms, 2)}
            for one, other, bits, rms in _first_rows(pairs)
        ],
    }


def _first_rows(pairs: Pairs) -> Iterator[tuple[int, int, int, float]]:
    some = (column[:EXAMPLES].tolist() for column in (pairs.first, pairs.second, pairs.bits, pairs.rms))
    return zip(*some, strict=True)


def _conflicts(images: _Images, copies: Indices) -> dict[str, Any]:
    """Pairs of equal pixels of which one is labelled FAKE and the other REAL."""
    first, second = _pairs_of_groups(copies)
    both = images.table.labels[first] != images.table.labels[second]
    return {"pairs": int(both.sum()), **_named(images, first[both], second[both])}

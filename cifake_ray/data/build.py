"""Build a cache entry from a source: decode pictures, skip unreadable ones, keep arrays, table and notes."""

import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.datasets import CARDS, card_of_content, generic, sample, sample_native
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.decoding.items import Item
from cifake_ray.data.decoding.workers import decode_all
from cifake_ray.data.facts import Facts, facts_of
from cifake_ray.data.labels import PARTS, VALIDATION
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.packing import common_side, likely_side, pack
from cifake_ray.data.refusals import Beyond, check_classes, check_pictures_fit, check_readable, skipped_notes
from cifake_ray.data.sources.find import SAMPLE, SAMPLE_NATIVE, Encoded, Source
from cifake_ray.data.sources.left_out import left_for
from cifake_ray.data.sources.reading import Reading
from cifake_ray.data.stratify import choose_fraction, copies_of, pooled, strata_of
from cifake_ray.data.table import TRAIN_PARTS, ImageTable, content_digest, fingerprint_v2, joined, make_table, unpacked
from cifake_ray.errors import InputError
from cifake_ray.storage.cache import (
    Entry,
    Staged,
    array_digest,
    cache_root,
    locked,
    read_entry,
    write_entry,
    writing,
)

TABLE = "table"  # name of the array that holds the image table
ENCODED = "encoded"  # name of the array that holds encoded pictures of any size, one after another
KIND = "images"  # the cache's folder of decoded sets
UNSCORED = "parts that are not scored"
_FORMAT = 1  # of the cache entry and of decoding: raise the number when either changes

Arrays = dict[str, "np.ndarray | Staged"]
EntryContents = tuple[Arrays, dict[str, Any]]  # arrays and notes of a cache entry
Check = Callable[[Mapping[str, Encoded]], None]  # raises InputError for parts that are of no use
HELD = ("images", "places", "labels")  # arrays of a part: squares, or places of encoded pictures; labels


def entry_path(found: Source, subset: int | str | None) -> Path:
    """The cache entry of a source, or of a named or counted subset; another entry for each neutral encoding."""
    neutral = f" {found.reading.neutral.name}" if found.reading.neutral else ""
    key = hashlib.sha256(f"{_FORMAT} {found.kind} {found.identity} {subset}{neutral}".encode()).hexdigest()[:32]
    return cache_root() / KIND / key


def known_entry(found: Source) -> Entry | None:
    """The entry that version 0.1 made of the source, if the pictures are a known data set, whole and unchanged.

    Other entries of version 0.1 are not used, because their pictures may be read differently today.
    """
    if not found.earlier:
        return None
    earlier = dataclasses.replace(found, identity=found.earlier)
    entry = read_entry(entry_path(earlier, None))
    known = frozenset().union(*(card.fingerprints for card in CARDS.values()))
    return entry if entry is not None and set_fingerprint(entry.meta["fingerprints"]) in known else None


def cached(path: Path, build: Callable[[], EntryContents], held: int | None = None) -> Entry:
    """The verified entry at `path`, built under its lock when missing, damaged or holding pictures in another way.

    `held`: as `Reading.held`.
    """
    entry = current_entry(path, held)
    if entry is None:
        with locked(path):
            entry = current_entry(path, held) or _write(path, *build())
    return entry


def current_entry(path: Path, held: int | None = None) -> Entry | None:
    """The entry at `path`, verified; None for one that holds pictures of many sizes in one small size unasked."""
    entry = read_entry(path)
    if entry is None or held is not None or TABLE not in entry.arrays:
        return entry
    sides = {array.shape[1] for name, array in entry.arrays.items() if name.endswith("_images")}
    return entry if sides <= {common_side(unpacked(entry.arrays[TABLE]).sizes)} else None


def set_fingerprint(prints: Mapping[str, str]) -> str:
    """One SHA-256 (hex) over the parts' fingerprints, train before test."""
    return hashlib.sha256("".join(prints[part] for part in PARTS if part in prints).encode()).hexdigest()


def _write(path: Path, arrays: Arrays, notes: Mapping[str, Any]) -> Entry:
    parts = [name.removesuffix("_labels") for name in arrays if name.endswith("_labels")]
    table = unpacked(as_array(arrays[TABLE]))
    with writing():
        told = {
            "fingerprints": {part: part_fingerprint(part, arrays, table, notes.get("neutral", "")) for part in parts},
            "fingerprint_v2": fingerprint_v2(table),
        }
        return write_entry(path, arrays, {**notes, **told})


def part_fingerprint(part: str, arrays: Arrays, table: ImageTable, neutral: str = "") -> str:
    """SHA-256 (hex) over pixels and labels in order; for pictures of any size, over the digests of the pixels.

    neutral: name of the pictures' neutral encoding, which is hashed too.
    """
    labels = as_array(arrays[f"{part}_labels"])
    if f"{part}_images" in arrays:
        found = array_digest(as_array(arrays[f"{part}_images"]), labels)
    else:
        rows = table.of_part(*(TRAIN_PARTS if part == "train" else (part,)))
        found = array_digest(np.frombuffer(b"any size" + _contents(rows), np.uint8), labels)
    return hashlib.sha256(f"{neutral} {found}".encode()).hexdigest() if neutral else found


def _contents(rows: ImageTable) -> bytes:
    """Pixel digests and formats: a JPEG that is decoded at a reduced scale gives other pixels than its PNG copy."""
    return rows.digests.tobytes() + "\n".join(rows.formats).encode()


def as_array(array: "np.ndarray | Staged") -> np.ndarray:
    """The array; a staged one memory-mapped."""
    return array.open() if isinstance(array, Staged) else array


def decode_source(
    source: str,
    found: Source,
    progress: Progress | None,
    choose: Callable[[dict[str, Encoded]], dict[str, Encoded]] = dict,
    *,
    beyond: Beyond | None = None,
    one_class: bool = False,
    check: Check | None = None,
) -> EntryContents:
    """Arrays of the parts that `choose` keeps, without unreadable images, and the notes of the cache entry.

    one_class: whether a part may have images of one class only. check: as of `load_images`. Raises InputError: a class
    missing without `one_class`, too many unreadable images, no room on the disk for the pictures and the bytes of
    `beyond`.
    """
    if found.kind == SAMPLE:
        notes: dict[str, Any] = {"source": source, "kind": SAMPLE, "skipped": [], "converted": {}}
        notes["card"] = sample.CARD.name
        drawn = sample.build_sample(progress)
        return _packed(drawn, table_of_arrays(drawn), sample.CARD), notes
    contents = found.read()
    encoded = choose(contents.parts)
    unused = [f"{part} part" for part in contents.parts if part not in encoded]
    left = [*contents.left, *left_for(UNSCORED, unused)]
    for part, of_part in () if one_class else encoded.items():
        check_classes(source, part, of_part.labels, "image")
    if check is not None:
        check(encoded)
    neutral = found.reading.neutral
    check_pictures_fit(encoded, beyond)
    decoded = decode_parts(encoded, progress, neutral, found.reading.held, packed=found.reading.packed)
    skipped = skipped_notes(encoded, decoded.skipped)
    try:
        check_readable(source, skipped, len(decoded.facts.formats))
        arrays, table = joined_parts(encoded, decoded)
        for part in () if one_class else encoded:
            check_classes(source, part, as_array(arrays[f"{part}_labels"]), "readable image")
        card = sample_native.CARD if found.kind == SAMPLE_NATIVE else chosen_card(found.reading, table)
    except InputError:
        decoded.discard()
        raise
    noted: dict[str, Any] = {"source": source, "kind": found.kind, "skipped": skipped, "converted": decoded.converted}
    noted |= {"side": decoded.side, "card": card.name}
    noted |= {"left": [one.as_note() for one in left], "said": list(contents.said)}
    noted |= {"neutral": neutral.name} if neutral else {}
    return _packed(arrays, table, card), noted


def for_study(contents: EntryContents, reading: Reading) -> EntryContents:
    """The contents with a validation part behind the train part, and the test part drawn by `reading.test_fraction`.

    Raises InputError when a drawn part lacks a class.
    """
    arrays, notes = contents
    table = unpacked(as_array(arrays[TABLE]))
    held = [kind for kind in HELD if f"train_{kind}" in arrays]
    for kind in held if VALIDATION in table.parts else ():
        together = [as_array(arrays.pop(f"{part}_{kind}")) for part in TRAIN_PARTS]
        arrays[f"train_{kind}"] = np.concatenate(together)
    if reading.test_fraction is None:
        return arrays, notes
    rows = table.of_part(*TRAIN_PARTS)
    drawn = _draw_test(rows, reading.test_fraction, reading.split_seed)
    for kind in held:
        whole = as_array(arrays[f"train_{kind}"])
        arrays |= {f"train_{kind}": whole[~drawn], f"test_{kind}": whole[drawn]}
    for part in PARTS:
        check_classes(notes["source"], part, as_array(arrays[f"{part}_labels"]), "image")
    kept, test = rows.take(np.flatnonzero(~drawn)), rows.take(np.flatnonzero(drawn))
    arrays[TABLE] = joined([kept, test.with_part("test")]).packed()
    return arrays, {**notes, "test_drawn": {"fraction": reading.test_fraction, "seed": reading.split_seed}}


def _draw_test(rows: ImageTable, fraction: float, seed: int) -> np.ndarray:
    """Which train images become the test part: bool [n]; copies share a side, copies of validation images stay."""
    given = rows.given_validation
    train = np.flatnonzero(~np.isin(rows.digests, rows.digests[given]) & ~given)
    of_train = rows.take(train)
    strata = pooled(strata_of(of_train.labels, of_train.groups), of_train.labels, fraction)
    random = np.random.default_rng([seed, 1])  # apart from the draw of the validation images
    drawn = np.zeros(len(rows), dtype=bool)
    drawn[train] = choose_fraction(copies_of(of_train.digests), strata, fraction, random)
    return drawn


def _packed(arrays: "Mapping[str, np.ndarray | Staged]", table: ImageTable, card: Card) -> Arrays:
    """The arrays of a cache entry: pixels and labels of each part, and the table."""
    kept = {name: array for name, array in arrays.items() if not name.endswith("_names")}
    return {**kept, TABLE: table.with_groups(card).packed()}


def chosen_card(reading: Reading, table: ImageTable) -> Card:
    """The card that the user names, else the card of the content.

    Raises InputError (`data.card`) when the named card has content digests and the pictures have other ones.
    """
    named, found = reading.named_card(), card_of(table)
    if named is not None and named.content and found is not named:
        raise InputError(
            f"data.card: by their content these are not the pictures of {named.title}, whole and unchanged",
            "remove the key",
        )
    return named or found


def card_of(table: ImageTable) -> Card:
    """The card of the data set that consists of exactly these pictures; the generic card without one."""
    parts = {part: table.of_part(part) for part in table.parts}
    if {part: len(rows) for part, rows in parts.items()} not in [dict(card.images) for card in CARDS.values()]:
        return generic.CARD
    return card_of_content({part: content_digest(rows) for part, rows in parts.items()})


@dataclass(frozen=True)
class Pictures:
    """All pictures of a source, in the order of its parts. `skipped`: position -> reason.

    `side`: pixels a side of the held squares; None for pictures of any size. `held`: name (of HELD) to one row a
    picture. `whole`: arrays without a row a picture.
    """

    side: int | None
    held: dict[str, np.ndarray]
    whole: dict[str, Staged]
    facts: Facts
    skipped: dict[int, str]
    converted: dict[str, int]

    def discard(self) -> None:
        """Remove the staged files that no cache entry has taken over."""
        for staged in self.whole.values():
            staged.path.unlink(missing_ok=True)


def decode_parts(
    encoded: Mapping[str, Encoded],
    progress: Progress | None,
    neutral: NeutralEncoding | None = None,
    held: int | None = None,
    *,
    packed: bool = False,
) -> Pictures:
    """All pictures, decoded: small pictures of one size as squares, others packed as encoded files.

    `neutral`: encoding applied to each picture first; facts and digests are of the pictures as delivered. `held`,
    `packed`: as in `Reading`.
    The headers of a sample of pictures choose between squares and packed files. Where the sizes of all pictures choose
    otherwise, the pictures are decoded a second time.
    """
    items = [item for part in encoded.values() for item in part.items]
    if held is not None or packed:
        return _decoded(items, held, progress, neutral)
    found = _decoded(items, likely_side(items), progress, neutral)
    if (side := common_side(found.facts.sizes)) != found.side:
        found.discard()
        found = _decoded(items, side, progress, neutral)
    return found


def _decoded(
    items: Sequence[Item], side: int | None, progress: Progress | None, neutral: NeutralEncoding | None
) -> Pictures:
    if side is not None:
        squares = decode_all(items, progress, side, neutral)
        return Pictures(side, {"images": squares.images}, {}, squares.facts, squares.skipped, squares.converted)
    packed = pack(items, cache_root() / KIND, progress, neutral)
    found = packed.findings
    skipped, converted = dict(sorted(found.skipped.items())), dict(sorted(found.converted.items()))
    return Pictures(None, {"places": packed.places}, {ENCODED: packed.staged}, found.facts, skipped, converted)


def joined_parts(encoded: Mapping[str, Encoded], decoded: Pictures) -> tuple[Arrays, ImageTable]:
    """Each part's pictures and labels without unreadable pictures, and the table; no copy when all are readable."""
    readable = np.ones(len(decoded.facts.formats), dtype=bool)
    readable[list(decoded.skipped)] = False
    arrays: Arrays = dict(decoded.whole)
    tables = []
    start = 0
    for part, of_part in encoded.items():
        rows = slice(start, start + len(of_part.labels))
        keep = slice(None) if readable[rows].all() else readable[rows]
        arrays |= {f"{part}_{kind}": held[rows][keep] for kind, held in decoded.held.items()}
        arrays[f"{part}_labels"] = of_part.labels[keep]
        facts = decoded.facts.take(rows).take(keep)
        rest = np.flatnonzero(readable[rows]).tolist() if of_part.groups else []
        groups = {name: [values[row] for row in rest] for name, values in of_part.groups.items()}
        tables.append(make_table(part, of_part.labels[keep], of_part.names[keep], facts, groups))
        start = rows.stop
    return arrays, joined(tables)


def table_of_arrays(arrays: Mapping[str, np.ndarray]) -> ImageTable:
    """The table of parts held as arrays of images, labels and names: of the sample, and of entries of version 0.1."""
    tables = []
    for part in (name.removesuffix("_images") for name in arrays if name.endswith("_images")):
        images, labels, names = (arrays[f"{part}_{kind}"] for kind in ("images", "labels", "names"))
        tables.append(make_table(part, labels, names, facts_of(images)))
    return joined(tables)

"""Which parts of a source a study takes, and the refusal of a source that lacks one: what was found, what to add."""

from collections.abc import Collection

from cifake_ray.console import printable
from cifake_ray.data.labels import ALL, VALIDATION, WORDS
from cifake_ray.data.sources.layouts import Found, Listing
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS

EXPECTED = (
    "a folder, zip or tar file with train/FAKE, train/REAL, test/FAKE and test/REAL, a folder with *train*.parquet and "
    "*test*.parquet, or a manifest (path,label,part)"
)
TEST_FRACTION = "data.test_fraction: 0.2"
_SHOWN = 6
_ORDER = ("train", VALIDATION, "test", ALL)


def chosen_parts(source: str, listing: Listing, needed: Collection[str], reading: Reading) -> tuple[Found, list[Left]]:
    """The needed parts, with a validation part if there is one; every part where none is needed.

    Undivided pictures are the train part of a study that draws its test part. Raises InputError when a part or class is
    missing, or a test part is to be drawn although the source has one.
    """
    found = dict(listing.found)
    if not found:
        raise _no_class(source, listing)
    if not needed:
        return _in_order(found), []
    parts = {part for part, _ in found}
    if reading.test_fraction is not None:
        if "test" in parts:
            raise InputError(f"{source}: data.test_fraction: the source has a test part of its own", "remove the key")
        if parts == {ALL}:
            found = {("train", label): files for (_, label), files in found.items()}
    _check(source, listing, found, needed, reading)
    used = {key: files for key, files in found.items() if key[0] != ALL}
    rest = [file.name for key, files in found.items() if key not in used for file in files]
    return _in_order(used), left_for("images of no part", rest)


def _in_order(found: Found) -> Found:
    keys = [(part, label) for part in _ORDER for label in range(len(LABELS))]
    return {key: sorted(found[key], key=lambda file: file.name) for key in keys if key in found}


def _check(source: str, listing: Listing, found: Found, needed: Collection[str], reading: Reading) -> None:
    parts = {part for part, _ in found}
    if parts == {ALL}:
        for label, name in enumerate(LABELS):
            if (ALL, label) not in found:
                refusal = _no_folder(source, name, listing)
                raise InputError(refusal.what, f"{refusal.cure}; the test part is then drawn by `{TEST_FRACTION}`")
        raise InputError(
            f"{source}: its FAKE and REAL images are not divided into train and test",
            f"add `{TEST_FRACTION}` (--set data.test_fraction=0.2), which draws every fifth picture as the test part, "
            "or divide them by folders",
        )
    for part in needed:
        if part == "test" and reading.test_fraction is not None:
            continue
        if part not in parts:
            raise _no_part(source, part, parts)
        for label, name in enumerate(LABELS):
            if (part, label) not in found:
                raise _no_folder(source, f"{part}/{name}", listing)


def _no_part(source: str, part: str, parts: Collection[str]) -> InputError:
    there = ", ".join(one for one in _ORDER if one in parts)
    if part != "test":
        return InputError(f"{source}: no {part} part (parts found: {there})", f"expected {EXPECTED}")
    other = ", or `data.parts: {val: test}` if the validation part is the test part" if VALIDATION in parts else ""
    return InputError(
        f"{source}: no test part (parts found: {there})",
        f"add `{TEST_FRACTION}` (--set data.test_fraction=0.2), which draws every fifth train picture as the test part"
        f"{other}",
    )


def _no_folder(source: str, lacking: str, listing: Listing) -> InputError:
    """The refusal of a source that lacks the class `lacking`, such as `test/FAKE`."""
    names = (LABELS[label] if part == ALL else f"{part}/{LABELS[label]}" for part, label in listing.found)
    there = ", ".join(dict.fromkeys(names)) or "none"
    others = f"; other folders: {_listed(listing.unnamed)}" if listing.unnamed else ""
    return InputError(f"{source}: no folder {lacking} (class folders found: {there}{others})", _how_to_name())


def _no_class(source: str, listing: Listing) -> InputError:
    there = _listed(listing.unnamed) or "none"
    return InputError(f"{source}: no folder FAKE or REAL (folders with files found: {there})", _how_to_name())


def _how_to_name() -> str:
    return f"words known: {WORDS}; name other folders by data.labels: {{fake: [ai*, sdxl], real: [human]}}"


def _listed(names: list[str]) -> str:
    more = f", and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(map(printable, names[:_SHOWN])) + more

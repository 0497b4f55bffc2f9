"""Rows of tables (parquet, arrow, manifests) as labelled pictures: which column is what, and what its values mean.

Labels, in order of authority: names in the file's own metadata; a text label; a group column in which one value is a
word for REAL; the card that the user names; this project's own layout. A bare number is never guessed, because copies
of CIFAKE exist with FAKE as 0 and others with FAKE as 1. `data.labels` assigns a class to any value.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from cifake_ray.console import printable
from cifake_ray.data.decoding.items import Item
from cifake_ray.data.labels import WORDS, label_of
from cifake_ray.data.sources.folders import File
from cifake_ray.data.sources.layouts import GENERATOR, Found
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError
from cifake_ray.runs.columns import LABELS

Value = str | int | None
IMAGE = ("image", "img", "image_data", "images", "picture", "image_bytes", "jpg", "png", "webp")
LABEL = ("label", "labels", "class", "class_name", "target", "label_a")
PATH = ("path", "file_name", "filename", "file", "filepath", "file_path", "image_path", "img_path", "image")
NAME = ("name", "image_name", "file_name", "filename")
PART = ("part", "split", "subset")
SOURCE = "source"
GROUPS = {
    GENERATOR: ("generator", "generator_name", "model", "model_name", "label_b"),
    SOURCE: ("source", "real_source"),
}
_REAL = 1
_SHOWN = 4


def column_of(wanted: Sequence[str], columns: Iterable[str]) -> str | None:
    """The first wanted column that exists, upper and lower case being equal."""
    plain = {column.casefold(): column for column in reversed(list(columns))}
    return next((plain[name] for name in wanted if name in plain), None)


@dataclass(frozen=True)
class Rows:
    """Rows of one file. `named`: whether labels are names, not bare numbers. `own`: whether in this project's layout.

    `parts` and `groups` have a value a row; `told`: labels by the folders, where the file has no label column.
    """

    file: str
    items: list[Item]
    names: list[str]
    parts: list[str]
    labels: list[Value] | None = None
    named: bool = False
    own: bool = False
    groups: dict[str, list[Value]] = field(default_factory=dict)
    sizes: list[tuple[int, int]] | None = None
    told: list[int | None] | None = None


def labelled(tables: Sequence[Rows], reading: Reading) -> Found:
    """The rows by part and label. Raises InputError: labels that no name, column or card explains."""
    real_column = _column_with_real(tables)
    parts = dict.fromkeys(part for table in tables for part in table.parts)
    found: Found = {(part, label): [] for part in parts for label in range(len(LABELS))}
    for table in tables:
        labels = _labels(table, real_column, reading)
        generators = [_text(value) for value in table.groups.get(GENERATOR, [None] * len(labels))]
        _check_generators(table, labels, generators)
        named = _named_by_label(table, labels, reading)
        sources = [_text(value) for value in table.groups.get(SOURCE, [None] * len(labels))]
        sizes = table.sizes or [(0, 0)] * len(labels)
        for row, label in enumerate(labels):
            group = (SOURCE, sources[row]) if label == _REAL else (GENERATOR, generators[row] or named[row])
            file = File(table.names[row], table.items[row], *sizes[row], (group,) if group[1] else ())
            found[table.parts[row], label].append(file)
    return found


def _labels(table: Rows, real_column: str | None, reading: Reading) -> list[int]:
    values = table.labels
    if values is not None and (table.named or reading.fake or reading.real):
        if (labels := _by_name(table, values, real_column, reading)) is not None:
            return labels
    elif values is None and table.told is not None and None not in table.told:
        return [label for label in table.told if label is not None]
    if real_column is not None:
        return _by_real_word(table, real_column)
    card = reading.named_card()
    numbers = dict(card.numbers) if card is not None and card.numbers else {0: 0, 1: 1} if table.own else {}
    if values is None or not numbers:
        raise _unexplained(table)
    found = [numbers.get(value) if isinstance(value, int) else None for value in values]
    if None in found:
        expected = " or ".join(f"{number} ({LABELS[label]})" for number, label in sorted(numbers.items()))
        raise InputError(f"{table.file}: label {values[found.index(None)]!r}", f"expected {expected}")
    return [label for label in found if label is not None]


def _by_name(table: Rows, values: Sequence[Value], real_column: str | None, reading: Reading) -> list[int] | None:
    """Labels by the names of their classes; None where no name is known, so that labels must come from elsewhere."""
    meaning = {value: _meaning(value, table.named, reading) for value in dict.fromkeys(values)}
    unknown = [str(value) for value, label in meaning.items() if label is None]
    if unknown and len(unknown) == len(meaning) and (real_column is not None or not table.named):
        return None
    if unknown:
        raise InputError(
            f"{table.file}: label {_listed(unknown)} names no class; expected {' or '.join(LABELS)} ({WORDS})",
            f"say what other names mean by data.labels, as data.labels: {{fake: [{_listed(unknown)}], real: [human]}}",
        )
    return [label for value in values if (label := meaning[value]) is not None]


def _meaning(value: Value, named: bool, reading: Reading) -> int | None:
    if value is None:
        return None
    own = reading.own_label(str(value))
    return own if own is not None or not named else label_of(str(value))


def _column_with_real(tables: Sequence[Rows]) -> str | None:
    """The group column `generator`, if one of its values in some file of the source is a word for REAL."""
    values = {value for table in tables for value in table.groups.get(GENERATOR, ())}
    return GENERATOR if any(isinstance(value, str) and label_of(value) == _REAL for value in values) else None


def _by_real_word(table: Rows, column: str) -> list[int]:
    values = table.groups.get(column)
    if values is None or None in values or "" in values:
        raise InputError(
            f"{table.file}: column {column} marks REAL in other files, and is empty or missing here",
            "give each row a value",
        )
    return [_REAL if isinstance(value, str) and label_of(value) == _REAL else 0 for value in values]


def _check_generators(table: Rows, labels: Sequence[int], generators: Sequence[str]) -> None:
    """Raise InputError for a row that is labelled FAKE and whose generator is a word for REAL."""
    for row, (label, generator) in enumerate(zip(labels, generators, strict=True)):
        if label != _REAL and generator and label_of(generator) == _REAL:
            raise InputError(
                f"{table.file}: row {row} is labelled FAKE and its generator is {generator}",
                "look at data.card and data.labels, which may have the classes the wrong way round",
            )


def _named_by_label(table: Rows, labels: Sequence[int], reading: Reading) -> list[str]:
    """The generator of a FAKE row whose label names one: `sdxl`, which `data.labels` calls FAKE."""
    if table.labels is None or not table.named or not reading.fake:
        return [""] * len(labels)
    named = {value: _text(value) for value in dict.fromkeys(table.labels) if label_of(str(value)) is None}
    return [named.get(value, "") for value in table.labels]


def _unexplained(table: Rows) -> InputError:
    if table.labels is None:
        return InputError(f"{table.file}: no column tells the class", f"expected a column label ({WORDS})")
    values = dict.fromkeys(table.labels)
    return InputError(
        f"{table.file}: label is a number ({_listed(values)}) and nothing says which is FAKE; expected names in the "
        "file's Hugging Face metadata or labels as text",
        "say what the numbers mean by data.labels: {fake: [1], real: [0]}, or name the data set's card by data.card",
    )


def _listed(values: Iterable[object]) -> str:
    shown = [printable(str(value)) for value in values]
    return ", ".join(shown[:_SHOWN]) + (", …" if len(shown) > _SHOWN else "")


def _text(value: Value) -> str:
    return "" if value is None else str(value).strip()

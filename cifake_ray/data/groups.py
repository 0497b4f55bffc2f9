"""Groups of pictures by the columns of the table: which generators there are, and the refusal of unknown names."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from cifake_ray.data.datasets import CARDS
from cifake_ray.data.sources.find import Encoded
from cifake_ray.data.stratify import Indices
from cifake_ray.data.table import TRAIN_PARTS, ImageTable
from cifake_ray.errors import InputError
from cifake_ray.experiment import GENERATOR, Data, Metric
from cifake_ray.stats.intervals import FEWEST_IN_GROUP

Columns = Mapping[str, Collection[str]]  # group column -> values that pictures of the train part have
Chosen = Mapping[str, Sequence[str]]  # group column -> values that an experiment names
FEWEST_GENERATORS = 3  # of the train part, for validation by generators that no trial trains on
_SHOWN = 8  # names in a refusal


def columns_of(table: ImageTable) -> Columns:
    """The group columns of a table, with the values that its pictures have, without the unknown ""."""
    found = {}
    for name, codes in table.groups.items():
        values = table.group_values(name)
        found[name] = [values[code] for code in np.unique(codes).tolist() if values[code]]
    return found


def columns_of_source(parts: Mapping[str, Encoded]) -> Columns:
    """`columns_of` the train part of a source before its pictures are decoded."""
    of_train = [encoded for part, encoded in parts.items() if part in TRAIN_PARTS]
    names = dict.fromkeys(name for encoded in of_train for name in encoded.groups)
    return {
        name: sorted({value for encoded in of_train for value in encoded.groups.get(name, ()) if value})
        for name in names
    }


def check_groups(data: Data, columns: Columns, images: Mapping[str, int] | None = None) -> None:
    """Raise InputError for a group that `data.leave_out` or `data.validate` names and the train part lacks.

    images: pictures of each part, before they are decoded; then groups that a card may yet read from the names of these
    pictures are not refused.
    """
    later = {name for card in CARDS.values() if images is not None and _may_be(card.images, images)
             for name in card.groups}  # fmt: skip
    for column, values in data.leave_out.items():
        if column not in later:
            _check_values("data.leave_out", column, values, columns)
    if data.unseen:
        choose_unseen(data, columns)


def _may_be(whole: Mapping[str, int], images: Mapping[str, int]) -> bool:
    """Whether so many pictures may be those of a data set with this many, or hold them."""
    return all(images.get(part, 0) >= count for part, count in whole.items())


def _check_values(key: str, column: str, values: Sequence[str], columns: Columns) -> None:
    known = columns.get(column)
    if known is None:
        there = f"known of these images: {', '.join(columns)}" if columns else "remove the key"
        raise InputError(f"{key}: the {column}s of these images are not known", there)
    for value in values:
        if value not in known:
            raise InputError(f"{key}: no {column} {value} in the train part", meant(value, known))


def check_generators(metric: Metric, columns: Columns) -> None:
    """Raise InputError (`search.metric`) where the metric needs generators and fewer than two are known.

    `large_generators` refuses small ones once the pictures are split.
    """
    known = columns.get(GENERATOR, ())
    if metric.by_generator and len(known) < 2:
        had = f"there is {', '.join(known)}" if known else "the generators of these images are not known"
        raise InputError(f"search.metric: {metric} needs two generators; {had}", "choose another metric")


def meant(value: str, known: Collection[str]) -> str:
    """`did you mean stylegan2?`, else `there are stylegan2, sd14`."""
    import difflib

    lower = {name.casefold(): name for name in known}
    if close := difflib.get_close_matches(value.casefold(), lower, n=1, cutoff=0.5):
        return f"did you mean {lower[close[0]]}?"
    shown = ", ".join(list(known)[:_SHOWN]) + (", …" if len(known) > _SHOWN else "")
    return f"there are {shown}" if shown else "remove it"


def choose_unseen(data: Data, columns: Columns) -> tuple[str, ...]:
    """The generators that validate and that no trial trains on, by name or drawn by the split seed; sorted.

    A draw does not depend on `data.leave_out`, whose generators it passes over: studies that leave out one generator
    after another validate by the same ones as far as they can. Raises InputError where none would be left to train on.
    """
    known = sorted(columns.get(GENERATOR, ()))
    if len(known) < FEWEST_GENERATORS:
        named = f"only {', '.join(known)}" if known else "no generator"
        raise InputError(
            f"data.validate: {named} in the train part, and unseen needs {FEWEST_GENERATORS} generators",
            "remove the key",
        )
    left = data.leave_out.get(GENERATOR, ())
    free = [name for name in known if name not in left]
    if isinstance(data.unseen, tuple):
        _check_values("data.validate", GENERATOR, data.unseen, columns)
        chosen = list(data.unseen)
    else:
        order = np.random.default_rng([data.split_seed, 2]).permutation(len(known)).tolist()
        chosen = [known[at] for at in order if known[at] in free][: data.unseen]
    wanted = len(data.unseen) if isinstance(data.unseen, tuple) else data.unseen
    if wanted >= len(free):
        raise InputError(
            f"data.validate: {wanted} unseen of {len(free)} generators leave none to train on",
            f"give {len(free) - 1} at most" if len(free) > 1 else "leave out fewer generators, or remove the key",
        )
    return tuple(sorted(chosen))


def values_of(table: ImageTable, column: str, key: str) -> np.ndarray:
    """The group of each picture by this column: unicode [n], "" where it is not known.

    Raises InputError (naming `key`) for a column that the pictures do not have.
    """
    if column not in table.groups:
        there = f"known of these images: {', '.join(table.groups)}" if table.groups else "no group of these is known"
        raise InputError(f"{key}: the {column}s of these images are not known", there)
    return np.array(table.group_values(column), dtype=np.str_)[table.groups[column]]


def in_groups(table: ImageTable, groups: Chosen) -> np.ndarray:
    """Which pictures belong to one of these groups: bool [n]. A group that no picture has is none of them."""
    found = np.zeros(len(table), dtype=bool)
    for column, chosen in groups.items():
        if column in table.groups:
            values = table.group_values(column)
            found |= np.isin(table.groups[column], [values.index(value) for value in chosen if value in values])
    return found


def generator_codes(table: ImageTable) -> tuple[Indices, tuple[str, ...]]:
    """Codes of the generators of FAKE pictures, int64 [n], -1 of all others; and the generators, sorted."""
    codes = np.full(len(table), -1, np.int64)
    if GENERATOR not in table.groups:
        return codes, ()
    values = values_of(table, GENERATOR, "data.validate")
    named = (table.labels == 0) & (values != "")
    known, codes[named] = np.unique(values[named], return_inverse=True)
    return codes, tuple(known.tolist())


def large_generators(table: ImageTable) -> Indices:
    """`generator_codes` of the generators with 20 pictures or more, for the worst of them; others are -1.

    Raises InputError (`search.metric`) for fewer than two of these.
    """
    codes, known = generator_codes(table)
    counts = np.bincount(codes[codes >= 0], minlength=len(known))
    large = np.flatnonzero(counts >= FEWEST_IN_GROUP)
    if len(large) < 2:
        had = ", ".join(f"{name} {count:,}" for name, count in zip(known[:_SHOWN], counts.tolist(), strict=False))
        raise InputError(
            f"search.metric: val_worst_group needs two generators with {FEWEST_IN_GROUP} validation pictures or more; "
            + (f"there are {had}" if had else "the generators of these images are not known"),
            "raise data.val_fraction, or choose another metric" if had else "choose another metric",
        )
    renumbered = np.full(len(known) + 1, -1, np.int64)  # the last place is that of -1
    renumbered[large] = np.arange(len(large))
    return renumbered[codes]

"""The bias check: how well a model that sees no pixel separates FAKE from REAL.

Gradient boosting (scikit-learn's HistGradientBoostingClassifier) over what `properties` reads from each file,
cross-validated with equal files on one side. A detector can learn what separates the classes for such a model, instead
of what is generated.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cifake_ray.data.audit.encoding import Headers, read_headers
from cifake_ray.data.audit.properties import (
    Column,
    columns_of,
    matrix_of,
    same_for_all,
    table_by_class,
)
from cifake_ray.data.datasets import generic
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.sources.find import Encoded, find_source
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.data.stratify import Indices, choose_stratified, copies_of
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import Bias, GroupScore, PropertyScore, Share
from cifake_ray.stats.intervals import FEWEST_IN_GROUP, Interval, balanced_interval, wilson
from cifake_ray.storage.cache import cache_root, locked, read_entry, write_entry, writing

MOST_PICTURES = 20_000  # measured; the interval is then 1.4 points wide, and more pictures change no conclusion
FEWEST_FILES = 10  # different files of each class, below which nothing is measured
_FOLDS = 5
_SHUFFLES = 3  # of each property
_VERSION = 1  # of the cached result: raise the number when the arithmetic changes

Groups = Mapping[str, np.ndarray]  # column -> value of each picture, unicode [n], "" where there is none
Bools = npt.NDArray[np.bool_]


# --- where the pictures come from ------------------------------------------------------------------------------------


def bias_of_source(source: str, reading: Reading = PLAIN, neutral: NeutralEncoding | None = None) -> Bias:
    """The bias of all parts of a source of files, from the cache or measured. Raises InputError as `find_source`.

    `neutral`: measure the pictures in this encoding.
    """
    found = find_source(source, needed=(), reading=reading.without_test())  # a drawn test part changes no file
    name = f" {neutral.name}" if neutral else ""
    key = hashlib.sha256(f"{_VERSION} {found.kind} {found.identity}{name}".encode()).hexdigest()[:32]

    path = cache_root() / "bias" / key
    with locked(path):
        entry = read_entry(path)
        if entry is None:
            bias = bias_of_files(found.read().parts, neutral)
            with writing():
                entry = write_entry(path, {}, {"source": source, "bias": bias.model_dump()})
    return Bias.model_validate(entry.meta["bias"])


def bias_of_files(parts: Mapping[str, Encoded], neutral: NeutralEncoding | None = None) -> Bias:
    """The bias of encoded pictures, or of these pictures in a neutral encoding.

    Of more than 20,000 pictures a subset is measured, every label and group in proportion.
    """
    items = [item for part in parts.values() for item in part.items]
    labels = np.concatenate([part.labels for part in parts.values()])
    groups = groups_of(generic.CARD, parts)
    codes = {name: np.unique(values, return_inverse=True)[1] for name, values in groups.items()}
    rows = choose_stratified(labels, codes, MOST_PICTURES)
    headers = read_headers([items[row] for row in rows.tolist()], neutral)
    bias = measure_bias(headers, labels[rows], {name: values[rows] for name, values in groups.items()})
    return bias.model_copy(update={"of": len(items)}) if len(rows) < len(items) else bias


def groups_of(card: Card, parts: Mapping[str, Encoded]) -> dict[str, np.ndarray]:
    """The group columns of the source, or those that the card reads from the names: unicode [n]."""
    names = np.concatenate([part.names for part in parts.values()])
    told = {name: np.array(card.groups[name].values)[codes] for name, codes in card.codes(names).items()}
    columns = dict.fromkeys(column for part in parts.values() for column in part.groups)
    given = {
        column: [value for part in parts.values() for value in part.groups.get(column) or [""] * len(part.labels)]
        for column in columns
    }
    return told | {column: np.array(values) for column, values in given.items()}


# --- the check -------------------------------------------------------------------------------------------------------


def measure_bias(headers: Headers, labels: np.ndarray, groups: Groups) -> Bias:
    """How well file properties separate the classes, unreadable files left out. labels: uint8 [n], 0 FAKE, 1 REAL."""
    rows = np.flatnonzero(headers.readable)
    codes = {name: np.unique(values[rows], return_inverse=True)[1] for name, values in groups.items()}
    chosen = rows[choose_stratified(labels[rows], codes, MOST_PICTURES)]
    some = Headers(headers.different, headers.which[chosen], headers.bytes[chosen], headers.digests[chosen])
    labels = labels[chosen]
    groups = {name: values[chosen] for name, values in groups.items()}
    columns = columns_of(some) if len(chosen) else []
    images = {name: int((labels == label).sum()) for label, name in enumerate(LABELS)}
    bias = Bias(images=images, of=len(rows), table=table_by_class(columns, labels))
    copies = copies_of(some.digests)
    folds = _folds(labels, copies)
    columns = [column for column in columns if not same_for_all(column)]
    if folds is None or not columns:
        return bias
    return _scored(bias, columns, labels, folds, groups)


def _scored(bias: Bias, columns: Sequence[Column], labels: np.ndarray, folds: Indices, groups: Groups) -> Bias:
    """The bias with scores. One thread, because two wait for each other (117 pictures, busy: 98 s against 25)."""
    import sklearn.ensemble  # noqa: F401 (its OpenMP must be there to be limited)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, user_api="openmp"):
        return _measured(bias, columns, labels, folds, groups)


def _measured(bias: Bias, columns: Sequence[Column], labels: np.ndarray, folds: Indices, groups: Groups) -> Bias:
    properties = list(dict.fromkeys(column.of for column in columns))
    belongs = {of: np.array([column.of == of for column in columns]) for of in properties}
    right, lost = _cross_validated(columns, labels, folds, belongs)
    alone = {of: _alone([column for column in columns if column.of == of], labels, folds) for of in properties}
    scores = [PropertyScore(name=of, alone=round(alone[of], 4), lost=round(lost[of], 4)) for of in properties]
    return bias.model_copy(
        update={
            "accuracy": _balanced(labels, right),
            "properties": sorted(scores, key=lambda one: -one.alone),
            "groups": [score for name, values in groups.items() for score in _by_group(name, values, labels, right)],
        }
    )


def _folds(labels: np.ndarray, copies: Indices) -> Indices | None:
    """Which of five folds tests each picture, int64 [n]; equal files share a fold, both classes are spread evenly.

    None where a class has fewer than 10 different files.
    """
    firsts = np.random.default_rng(0).permutation(np.unique(copies))
    if min(np.bincount(labels[firsts], minlength=2)) < FEWEST_FILES:
        return None
    firsts = firsts[np.argsort(labels[firsts], kind="stable")]
    fold = np.zeros(len(labels), np.int64)
    fold[firsts] = np.arange(len(firsts)) % _FOLDS
    return fold[copies]


def _cross_validated(
    columns: Sequence[Column], labels: np.ndarray, folds: Indices, belongs: Mapping[str, Bools]
) -> tuple[Bools, dict[str, float]]:
    """Whether each picture is called rightly, and the balanced accuracy lost by shuffling each property."""
    values, words = matrix_of(columns)
    right = np.zeros(len(labels), bool)
    shuffled = {of: np.zeros((_SHUFFLES, len(labels)), bool) for of in belongs}
    rng = np.random.default_rng(0)
    for fold in range(_FOLDS):
        test = folds == fold
        model = _fitted(values[~test], labels[~test], words)
        right[test] = model.predict(values[test]) == labels[test]
        for of, its in belongs.items():
            for at in range(_SHUFFLES):
                changed = values[test].copy()
                changed[:, its] = changed[rng.permutation(len(changed))][:, its]
                shuffled[of][at, test] = model.predict(changed) == labels[test]
    whole = _balanced(labels, right).value
    return right, {
        of: whole - float(np.mean([_balanced(labels, one).value for one in tries])) for of, tries in shuffled.items()
    }


def _alone(columns: Sequence[Column], labels: np.ndarray, folds: Indices) -> float:
    """Balanced accuracy of a model that sees these columns alone, 0..1."""
    values, words = matrix_of(columns)
    right = np.zeros(len(labels), bool)
    for fold in range(_FOLDS):
        test = folds == fold
        right[test] = _fitted(values[~test], labels[~test], words, rounds=20).predict(values[test]) == labels[test]
    return _balanced(labels, right).value


def _fitted(values: np.ndarray, labels: np.ndarray, words: Bools, rounds: int = 50) -> Any:
    """The fitted model: both classes have equal weight; few pictures have small leaves."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    return HistGradientBoostingClassifier(
        max_iter=rounds,
        max_leaf_nodes=15,
        min_samples_leaf=max(3, min(20, len(labels) // 40)),
        categorical_features=words,
        class_weight="balanced",
        early_stopping=False,
        random_state=0,
    ).fit(values, labels)


def _balanced(labels: np.ndarray, right: Bools) -> Share:
    counts = [(int(right[labels == label].sum()), int((labels == label).sum())) for label in range(len(LABELS))]
    return _score(balanced_interval(*zip(*counts, strict=True)))


def _score(interval: Interval) -> Share:
    return Share(value=round(interval.value, 4), low=round(interval.low, 4), high=round(interval.high, 4))


def _by_group(column: str, values: np.ndarray, labels: np.ndarray, right: Bools) -> list[GroupScore]:
    """A score for each value of a group column; a one-class value is compared with the whole other class."""
    scores = []
    for value in dict.fromkeys(np.sort(values[values != ""]).tolist()):
        rows = values == value
        beside = rows.copy()
        for label in range(len(LABELS)):
            if not (labels[rows] == label).any():
                beside |= labels == label
        share, images = float(right[rows].mean()), int(rows.sum())
        low, high = wilson(share, images)
        balanced = _balanced(labels[beside], right[beside]) if images >= FEWEST_IN_GROUP else None
        own = _score(Interval(share, low, high))
        scores.append(GroupScore(column=column, value=value, images=images, right=own, balanced=balanced))
    return scores

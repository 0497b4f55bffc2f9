"""Strata of images (label and subject), how many to take of each, and which images are copies of one another."""

import re

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_CIFAKE_NAME = re.compile(r"\d+ \((\d+)\)\.\w+")  # `0001 (3).jpg`
# Subject 1, 2, …, as CIFAR-10 counts them; a test holds them to the names that `data.leave_out` takes.
SUBJECT_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SUBJECTS = len(SUBJECT_NAMES)
_WEIGHTS_SEED = 20141  # any number: equal rows have equal hashes under all weights, and others are compared in full


def subjects_of(names: np.ndarray) -> Indices:
    """The CIFAR-10 subject in CIFAKE's file names, 1..10: int64 [n]; 1 where a name tells none, as for airplanes."""
    found = (_CIFAKE_NAME.fullmatch(name) for name in names.tolist())
    subjects = np.array([int(match[1]) if match and len(match[1]) <= 2 else 1 for match in found], dtype=np.int64)
    return np.where((subjects >= 1) & (subjects <= SUBJECTS), subjects, 1)


def has_subjects(names: np.ndarray) -> bool:
    """Whether CIFAKE's file names are there to tell subjects; a copy without them is stratified by label alone.

    (Airplanes carry no number.)
    """
    return any(_CIFAKE_NAME.fullmatch(name) for name in names.tolist())


def strata_of(labels: np.ndarray, names: np.ndarray) -> Indices:
    """One number for each pair of label and subject: int64 [n]."""
    return labels.astype(np.int64) * (SUBJECTS + 1) + subjects_of(names)


def quotas(sizes: np.ndarray, total: int) -> Indices:
    """`total` shared out in proportion to `sizes` by largest remainders: int64, summing to `total`."""
    exact = sizes * (total / max(int(sizes.sum()), 1))
    shares = np.floor(exact).astype(np.int64)
    rest = np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]
    shares[rest] += 1
    return shares


def choose_stratified(labels: np.ndarray, names: np.ndarray, count: int) -> Indices:
    """Sorted positions of a subset of `count` images (all, if fewer), every label and subject in proportion: int64.

    Both labels are always in it. The same arrays give the same subset; a larger `count` nearly contains a smaller one.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    per_label = np.clip(quotas(np.bincount(labels, minlength=2), count), 1, None)
    per_label[np.argmax(per_label)] += count - per_label.sum()
    strata = strata_of(labels, names)
    kinds, inverse = np.unique(strata, return_inverse=True)
    sizes = np.bincount(inverse)
    label_of = kinds // (SUBJECTS + 1)
    take = np.zeros(len(kinds), dtype=np.int64)
    for label, total in enumerate(per_label):
        take[label_of == label] = quotas(sizes[label_of == label], int(total))
    order = np.lexsort((np.random.default_rng(0).random(len(labels)), inverse))
    rank = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(order[rank < take[inverse[order]]])


def copies_of(images: np.ndarray) -> Indices:
    """For each of uint8 [n, ...] the position of the first image with the same pixels: int64 [n].

    A 64-bit sum of weighted words finds candidates at the speed of memory; only those are compared byte by byte.
    """
    hashes = row_hashes(images)
    first = np.arange(len(images))
    _, inverse, counts = np.unique(hashes, return_inverse=True, return_counts=True)
    seen: dict[bytes, int] = {}
    for position in np.flatnonzero(counts[inverse] > 1).tolist():
        first[position] = seen.setdefault(images[position].tobytes(), position)
    return first


def row_hashes(images: np.ndarray) -> npt.NDArray[np.uint64]:
    """For each of uint8 [n, 32, 32, 3] the weighted sum of its 64-bit words, mod 2^64: equal for equal pixels."""
    words = np.ascontiguousarray(images).reshape(len(images), -1).view(np.uint64)
    weights = np.random.default_rng(_WEIGHTS_SEED).integers(1 << 63, size=words.shape[1], dtype=np.uint64) * 2 + 1
    hashes: npt.NDArray[np.uint64] = words @ weights.astype(np.uint64)
    return hashes

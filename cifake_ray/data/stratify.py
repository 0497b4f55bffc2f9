"""Strata of images (label and groups), how many to take of each, and which images are copies of one another."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
_WEIGHTS_SEED = 20141  # any number: equal rows have equal hashes under all weights, and others are compared in full


def strata_of(labels: np.ndarray, groups: Mapping[str, Indices]) -> Indices:
    """One number for each combination of label and group codes, ordered by label first: int64 [n]."""
    strata = labels.astype(np.int64)
    for codes in groups.values():
        strata = strata * (int(codes.max(initial=0)) + 1) + codes
    return strata


def quotas(sizes: np.ndarray, total: int) -> Indices:
    """`total` shared out in proportion to `sizes` by largest remainders: int64, summing to `total`."""
    exact = sizes * (total / max(int(sizes.sum()), 1))
    shares = np.floor(exact).astype(np.int64)
    rest = np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]
    shares[rest] += 1
    return shares


def choose_stratified(labels: np.ndarray, groups: Mapping[str, Indices], count: int) -> Indices:
    """Sorted positions of a subset of `count` images (all, if fewer), every label and group in proportion: int64.

    Both labels are always in it. The same arrays give the same subset; a larger `count` nearly contains a smaller one.
    """
    if count >= len(labels):
        return np.arange(len(labels))
    per_label = np.clip(quotas(np.bincount(labels, minlength=2), count), 1, None)
    per_label[np.argmax(per_label)] += count - per_label.sum()
    kinds, first, inverse = np.unique(strata_of(labels, groups), return_index=True, return_inverse=True)
    sizes = np.bincount(inverse)
    label_of = labels[first]
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

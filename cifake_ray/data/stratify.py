"""Strata of images (label and groups), how many to take of each, and which images are copies of one another."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


def strata_of(labels: np.ndarray, groups: Mapping[str, Indices]) -> Indices:
    """One number for each combination of label and group codes, ordered by label first: int64 [n]."""
    strata = labels.astype(np.int64)
    for codes in groups.values():
        strata = strata * (int(codes.max(initial=0)) + 1) + codes
    return strata


def pooled(strata: Indices, labels: np.ndarray, fraction: float) -> Indices:
    """Pool strata too small to be split into one for each label. Too small: a side would get less than one image."""
    kinds, inverse, sizes = np.unique(strata, return_inverse=True, return_counts=True)
    small = sizes * min(fraction, 1 - fraction) < 1
    return np.where(small[inverse], len(kinds) + labels.astype(np.int64), inverse)


def choose_fraction(first: Indices, strata: Indices, fraction: float, random: np.random.Generator) -> np.ndarray:
    """Which images are drawn: bool [n]. Copies (same `first`) are drawn as one, in the stratum of the first copy.

    In each stratum the units come in random order; a unit is chosen if the middle of its place in the running count
    lies below the stratum's quota.
    """
    weights = np.bincount(first, minlength=len(first))
    units = np.flatnonzero(weights)
    _, stratum = np.unique(strata[units], return_inverse=True)
    order = np.lexsort((random.random(len(first))[units], stratum))
    weights, stratum = weights[units][order], stratum[order]
    sizes = np.bincount(stratum, weights=weights).astype(np.int64)
    quota = quotas(sizes, round(fraction * len(first)))
    middle = np.cumsum(weights) - weights / 2 - (np.cumsum(sizes) - sizes)[stratum]
    chosen = np.zeros(len(first), dtype=bool)
    chosen[units[order]] = middle < quota[stratum]
    return chosen[first]


def quotas(sizes: np.ndarray, total: int) -> Indices:
    """`total` shared out in proportion to `sizes` by largest remainders: int64, summing to `total`."""
    exact = sizes * (total / max(int(sizes.sum()), 1))
    shares = np.floor(exact).astype(np.int64)
    rest = np.argsort(shares - exact, kind="stable")[: total - int(shares.sum())]
    shares[rest] += 1
    return shares


def choose_stratified(labels: np.ndarray, groups: Mapping[str, Indices], count: int) -> Indices:
    """Sorted positions of a subset of `count` images (all, if fewer), every label and group in proportion: int64.

    The subset always has both labels. The same arrays yield the same subset; a larger subset nearly contains a smaller.
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


def copies_of(digests: np.ndarray) -> Indices:
    """For each pixel digest, bytes [n], the position of the first picture with an equal digest: int64 [n]."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    return np.asarray(first[inverse], np.int64)

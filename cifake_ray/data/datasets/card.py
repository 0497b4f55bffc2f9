"""The card of one data set: groups, digests, caveats, claims of others.

A card is chosen by the content of the images or named by the user, never by file names that look alike. A sentence
about a data set stands on the data set's card and nowhere else.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Group:
    """A column that sorts pictures. `values`: what the codes 0, 1, … stand for.

    `codes_of`: names, unicode [n], to codes, int64 [n]; None where these names do not contain the group.
    """

    values: tuple[str, ...]
    codes_of: Callable[[np.ndarray], Codes | None]


@dataclass(frozen=True)
class Reference:
    """A published result as a row of the comparison. Accuracies are 0..1, None where the source states none."""

    study: str
    source: str
    model: str
    weights: str
    epochs: int | None = None
    train_accuracy: float | None = None
    val_accuracy: float | None = None
    test_accuracy: float | None = None

    def row(self) -> dict[str, Any]:
        """The values that the source states, by column of comparison.csv."""
        gap = None
        if self.train_accuracy is not None and self.val_accuracy is not None:
            gap = round(self.train_accuracy - self.val_accuracy, 4)
        return {key: value for key, value in {**vars(self), "gap": gap}.items() if value is not None}


@dataclass(frozen=True)
class RemoteFile:
    """A file of a download. `name`: path below its folder. None: size or SHA-256 is not known beforehand."""

    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Download:
    """A published copy. `source`: value of --data, below the folder. `by_hand`: what to do where fetching fails."""

    name: str
    host: str  # kaggle | huggingface
    repository: str  # owner/name
    revision: str | None
    files: tuple[RemoteFile, ...]
    source: str
    by_hand: str

    def url(self, file: RemoteFile) -> str:
        """The address of a file. HF_ENDPOINT and KAGGLE_API_ENDPOINT name mirrors, as for these sites' own programs."""
        if self.host == "huggingface":
            hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
            return f"{hub.rstrip('/')}/datasets/{self.repository}/resolve/{self.revision}/{file.name}"
        kaggle = os.environ.get("KAGGLE_API_ENDPOINT") or "https://www.kaggle.com"
        return f"{kaggle.rstrip('/')}/api/v1/datasets/download/{self.repository}"


@dataclass(frozen=True, eq=False)
class Card:
    """Facts of one data set; the user's own pictures have the card without facts (`generic`).

    title: the data set in a sentence, "" where it has no name. images: pictures of each part of the whole set.
    content: `content_digest` of each part of the whole set. fingerprints: of the whole set, as version 0.1 recorded it.
    note: stands beside every result. claims: what the reference rows are, in a sentence. claim: the reference whose
    test accuracy is of the whole test part. generated: drawn by a program of this package. numbers: what the numbers in
    a column `label` mean (0 FAKE, 1 REAL), for a user who names the card. generators: what made the FAKE pictures,
    where no group says so.
    """

    name: str
    title: str = ""
    images: Mapping[str, int] = field(default_factory=dict)
    content: Mapping[str, str] = field(default_factory=dict)
    fingerprints: frozenset[str] = frozenset()
    groups: Mapping[str, Group] = field(default_factory=dict)
    caveats: tuple[str, ...] = ()
    references: tuple[Reference, ...] = ()
    claims: str = ""
    claim: Reference | None = None
    note: str = ""
    generated: bool = False
    numbers: Mapping[int, int] = field(default_factory=dict)
    generators: tuple[str, ...] = ()
    downloads: Mapping[str, Download] = field(default_factory=dict)

    def is_whole(self, content: Mapping[str, str]) -> bool:
        """Whether parts with these content digests are the data set, whole and unchanged."""
        return bool(self.content) and dict(content) == dict(self.content)

    def codes(self, names: np.ndarray) -> dict[str, Codes]:
        """The groups that these names contain: column to codes, int64 [n]."""
        told = {column: group.codes_of(names) for column, group in self.groups.items()}
        return {column: codes for column, codes in told.items() if codes is not None}

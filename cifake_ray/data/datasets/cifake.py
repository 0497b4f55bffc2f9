"""The published copies of CIFAKE that `data fetch` knows, and how to tell that images are CIFAKE's.

Nobody signs CIFAKE, so the last word is the content: whatever came, its decoded pixels with their labels must be those
of the 120,000 images this project was measured on. Checksums of files only say earlier, and cheaper, what went wrong.
"""

import hashlib
import os
from dataclasses import dataclass

import numpy as np

from cifake_ray.data.labels import PARTS

# content_digest of each part; whoever has CIFAKE computes them again by `cifake-ray data audit`.
CIFAKE = {
    "train": "1ffcac859276f7f6fe6dd31a1aead3653a026e34553ec3c05df803818dbd7cc0",
    "test": "15180a08b4cb0fe313aa1a6a61e68084151f0bb484ff5366a134893cb9694583",
}

# Fingerprints of the whole set by which runs of version 0.1 noted it.
FINGERPRINTS = frozenset({"9f182b4aa2d2901cbfaf88518a5a0bd8328708666693062fd7b89f001d69ad1f"})
WHOLE_TEST = 20_000  # images of the whole test part
CIFAKE_IMAGES = {"train": 100_000, "test": WHOLE_TEST}


@dataclass(frozen=True)
class RemoteFile:
    """`name`: path below the folder it is fetched into. None: size or SHA-256 cannot be known beforehand."""

    name: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Copy:
    """`source`: what to give as --data, below the folder. `by_hand`: what a person can do when fetching fails."""

    name: str
    kind: str  # kaggle | huggingface
    place: str  # owner/name
    revision: str | None
    files: tuple[RemoteFile, ...]
    source: str
    by_hand: str

    def url(self, file: RemoteFile) -> str:
        """HF_ENDPOINT and KAGGLE_API_ENDPOINT name mirrors, as they do for these sites' own programs."""
        if self.kind == "huggingface":
            hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
            return f"{hub.rstrip('/')}/datasets/{self.place}/resolve/{self.revision}/{file.name}"
        kaggle = os.environ.get("KAGGLE_API_ENDPOINT") or "https://www.kaggle.com"
        return f"{kaggle.rstrip('/')}/api/v1/datasets/download/{self.place}"


_KAGGLE = "birdy654/cifake-real-and-ai-generated-synthetic-images"
COPIES = {
    copy.name: copy
    for copy in (
        # The authors' own. Kaggle serves it without an account; size and SHA-256 are what others noted in August 2026
        # (github.com search for the number of bytes), not our own download.
        Copy(
            "kaggle",
            "kaggle",
            _KAGGLE,
            None,
            (
                RemoteFile(
                    "cifake.zip", 109_625_224, "1839206c1462371f5c885eda1660b448ea7abf52ee81fcc71e5e4651a4a11389"
                ),
            ),
            "cifake.zip",
            f"download the zip in a browser from https://www.kaggle.com/datasets/{_KAGGLE} and give it as --data",
        ),
        # The revision is the one in other people's cache paths. Checksums are not known beforehand: the hub's own,
        # which it sends for that revision, is held against what came and noted.
        Copy(
            "huggingface",
            "huggingface",
            "dragonintelligence/CIFAKE-image-dataset",
            "6eebd6090fe3c0d9d44f899a25f0a34e3c2dad31",
            (RemoteFile("data/train-00000-of-00001.parquet"), RemoteFile("data/test-00000-of-00001.parquet")),
            ".",
            "set HF_ENDPOINT to a mirror, or fetch the copy named kaggle",
        ),
    )
}


def content_digest(images: np.ndarray, labels: np.ndarray) -> str:
    """SHA-256 (hex) over label and pixels of each of uint8 [n, 32, 32, 3], sorted, so that order and names matter not.

    11 microseconds an image.
    """
    rows = (
        bytes([label]) + hashlib.sha256(image.data).digest()
        for image, label in zip(np.ascontiguousarray(images), labels.tolist(), strict=True)
    )
    return hashlib.sha256(b"".join(sorted(rows))).hexdigest()


def is_cifake(content: dict[str, str]) -> bool:
    """Whether parts with these content digests are CIFAKE, whole and unchanged."""
    return all(content.get(part) == CIFAKE[part] for part in PARTS)

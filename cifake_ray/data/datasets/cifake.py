"""The card of CIFAKE. The authors publish no checksums, so the content of the images decides.

Decoded pixels with their labels must be those of the 120,000 images that this project was measured on. Checksums of
files only detect a damaged download earlier and cheaper.
"""

import re

import numpy as np

from cifake_ray.data.datasets.card import Card, Codes, Download, Group, Reference, RemoteFile

_NAME = re.compile(r"\d+ \((\d+)\)\.\w+")  # `0001 (3).jpg` shows the third subject of CIFAR-10
_SUBJECTS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _subjects_of(names: np.ndarray) -> Codes | None:
    """The CIFAR-10 subject in CIFAKE's file names, 0..9: int64 [n]; airplanes carry no number.

    None for a copy without these names, such as a parquet file.
    """
    matches = [_NAME.fullmatch(name) for name in names.tolist()]
    if not any(matches):
        return None
    numbers = np.array([int(match[1]) if match and len(match[1]) <= 2 else 1 for match in matches], dtype=np.int64)
    return np.where((numbers >= 1) & (numbers <= len(_SUBJECTS)), numbers, 1) - 1


_COURSE = "course report this project started from (Adam, batch 32, 10 epochs)"
_PAPER = Reference(
    study="CIFAKE paper",
    source="Bird and Lotfi 2024, IEEE Access 12, arXiv 2303.14126",
    model="CNN",
    weights="none",
    test_accuracy=0.9298,
)
# Figures as published: the course report states rounded training and validation accuracy only.
_REFERENCES = (
    Reference(
        study="course report, CNN",
        source=_COURSE,
        model="custom CNN",
        weights="none",
        epochs=10,
        train_accuracy=0.92,
        val_accuracy=0.88,
    ),
    Reference(
        study="course report, ResNet50",
        source=_COURSE,
        model="ResNet50 transfer",
        weights="pretrained",
        epochs=10,
        train_accuracy=0.98,
        val_accuracy=0.96,
    ),
    _PAPER,
)

_KAGGLE = "birdy654/cifake-real-and-ai-generated-synthetic-images"
_DOWNLOADS = (
    # The authors' own copy. Kaggle serves the zip without an account. Size and SHA-256 are from others' publications
    # (August 2026, github.com search for the number of bytes), not from a download of our own.
    Download(
        "kaggle",
        "kaggle",
        _KAGGLE,
        None,
        (RemoteFile("cifake.zip", 109_625_224, "1839206c1462371f5c885eda1660b448ea7abf52ee81fcc71e5e4651a4a11389"),),
        "cifake.zip",
        f"download the zip in a browser from https://www.kaggle.com/datasets/{_KAGGLE} and give it as --data",
    ),
    # The revision is the one in other people's cache paths. Checksums are not known beforehand: the hub sends one for
    # that revision, which is compared with the download and recorded.
    Download(
        "huggingface",
        "huggingface",
        "dragonintelligence/CIFAKE-image-dataset",
        "6eebd6090fe3c0d9d44f899a25f0a34e3c2dad31",
        (RemoteFile("data/train-00000-of-00001.parquet"), RemoteFile("data/test-00000-of-00001.parquet")),
        ".",
        "set HF_ENDPOINT to a mirror, or fetch the copy named kaggle",
    ),
)

CARD = Card(
    name="cifake",
    title="CIFAKE",
    images={"train": 100_000, "test": 20_000},
    content={  # `cifake-ray data audit` computes both again
        "train": "1ffcac859276f7f6fe6dd31a1aead3653a026e34553ec3c05df803818dbd7cc0",
        "test": "15180a08b4cb0fe313aa1a6a61e68084151f0bb484ff5366a134893cb9694583",
    },
    fingerprints=frozenset({"9f182b4aa2d2901cbfaf88518a5a0bd8328708666693062fd7b89f001d69ad1f"}),
    groups={"subject": Group(_SUBJECTS, _subjects_of)},
    caveats=(
        "CIFAKE is narrow: its REAL images are CIFAR-10 photographs saved again as JPEG, its FAKE images were made "
        "with Stable Diffusion 1.4 for the same ten subjects and reduced to 32 by 32 pixels (texts that say StyleGAN2 "
        "are wrong).",
        "The kernel that shrank the FAKE images is not stated, and CIFAR-10's REAL images were shrunk by another. A "
        "detector may well have learned to tell two ways of shrinking apart.",
        "378 of the 10,000 FAKE test images are exact copies of train images. The headline leaves such copies out; "
        "figures on all test images stand beside it.",
    ),
    references=_REFERENCES,
    claims="the course report this project started from (custom CNN about 92 / 88 %, ResNet50 transfer about 98 / 96 % "
    "training / validation accuracy; Adam, batch 32, 10 epochs) and the CIFAKE paper (92.98 % test; Bird and Lotfi "
    "2024, IEEE Access 12, arXiv 2303.14126; on all test images)",
    claim=_PAPER,
    generators=("Stable Diffusion 1.4",),
    downloads={download.name: download for download in _DOWNLOADS},
)

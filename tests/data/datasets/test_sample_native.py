import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.audit.spectrum import radial_spectrum, spectrum_calls, spectrum_of
from cifake_ray.data.datasets import sample_native
from cifake_ray.data.datasets.sample_native import GENERATORS, NativePicture, render
from cifake_ray.data.facts import pixel_digest
from cifake_ray.data.sources.find import find_source
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

Pictures = list[NativePicture]


@pytest.fixture(scope="module")
def pixels(pictures: Pictures) -> list[np.ndarray]:
    return [np.asarray(Image.open(io.BytesIO(picture.data))) for picture in pictures]


def test_pixels_are_the_same_everywhere() -> None:
    digest = hashlib.sha256()
    for part in ("train", "test"):
        for label in (0, 1):
            for at in range(6):
                digest.update(render(part, label, at).tobytes())
    assert digest.hexdigest().startswith("90f503c3c00120b9")


def test_card_knows_the_content_of_the_files(pictures: Pictures, pixels: list[np.ndarray]) -> None:
    content = {}
    for part in ("train", "test"):
        rows = [
            bytes([picture.label]) + pixel_digest(image)
            for picture, image in zip(pictures, pixels, strict=True)
            if picture.part == part
        ]
        content[part] = hashlib.sha256(b"".join(sorted(rows))).hexdigest()
    assert sample_native.CARD.is_whole(content)


def test_both_classes_are_equal_in_number_and_each_generator_too(pictures: Pictures) -> None:
    counts = Counter((picture.part, picture.label, picture.generator) for picture in pictures)
    assert counts.pop(("train", 1, "")) == 240
    assert counts.pop(("test", 1, "")) == 60
    assert counts == {(part, 0, name): n for part, n in (("train", 80), ("test", 20)) for name in GENERATORS}
    assert len({picture.path for picture in pictures}) == 600


def test_sizes_are_native_and_formats_mixed(pictures: Pictures, pixels: list[np.ndarray]) -> None:
    sides = np.array([image.shape[:2] for image in pixels])
    assert (sides.min(), sides.max()) == (192, 506)
    assert Counter(picture.name[-3:] for picture in pictures) == {"jpg": 396, "png": 204}


def test_spectrum_tells_the_classes_well_and_not_perfectly(pictures: Pictures, pixels: list[np.ndarray]) -> None:
    spectra = np.array([radial_spectrum(image) for image in pixels])
    labels = np.array([picture.label for picture in pictures])
    train = np.array([picture.part == "train" for picture in pictures])
    called = spectrum_calls(spectra[train], labels[train], spectra[~train])
    assert 0.85 < (called == labels[~train]).mean() < 0.95


def test_folder_is_read_without_renaming(pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_native, "build_sample_native", lambda: pictures)
    for picture in pictures[::40]:
        assert picture.path.startswith(("train/FAKE/", "train/REAL/0", "test/FAKE/", "test/REAL/0"))
    sample_native.write_folder(tmp_path)
    parts = find_source(str(tmp_path)).read().parts
    assert {part: np.bincount(encoded.labels).tolist() for part, encoded in parts.items()} == {
        "train": [240, 240], "test": [60, 60]
    }  # fmt: skip
    assert {name.split("/")[0] for name in parts["train"].names[:240].tolist()} == set(GENERATORS)


def test_source_of_its_name_gives_the_pictures_with_their_generators(
    pictures: Pictures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_native, "build_sample_native", lambda: pictures)
    images = load_images("sample-native")
    assert (images.kind, images.card.name, images.side) == ("sample-native", "sample-native", None)
    assert (len(images.train), len(images.test)) == (480, 120)
    assert set(images.test.table.group_values("generator")) == {"", *GENERATORS}
    assert "results say nothing about real generators" in images.summary()
    assert len(load_labelled("sample-native").images) == 120
    found = spectrum_of(images)
    assert found.images == 120
    assert 0.85 < found.accuracy.value < 0.95
    monkeypatch.setattr("cifake_ray.data.audit.spectrum._measured", lambda *_: pytest.fail("measured again"))
    assert spectrum_of(images) == found
    with pytest.raises(InputError, match="has a test part of its own"):
        find_source("sample-native", reading=Reading(test_fraction=0.2))

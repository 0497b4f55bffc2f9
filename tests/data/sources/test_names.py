"""Class folders as people call them: read by their words, or refused with what was found and how to name them."""

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.labels import label_of
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

from ..conftest import Files, encode, picture
from .test_parquet import features

Write = Callable[..., Path]
READ = {
    "lower": ("real", "fake"), "plural": ("reals", "fakes"), "camel": ("RealImages", "FakeImages"),
    "camel ai": ("Real", "AIGenerated"), "part before": ("training_real", "training_fake"),
    "part behind": ("real_train", "fake_train"), "art": ("RealArt", "AiArtData"), "digits": ("0_real", "1_fake"),
    "versions": ("real_v2", "fake_v2"), "photos": ("real_photos", "fake_photos"), "faces": ("real_faces", "fake_faces"),
    "human": ("human", "ai"), "original": ("original", "deepfake"), "natural": ("natural", "ai_generated"),
    "images": ("real_images", "ai_generated_images"), "not ai": ("non_ai", "ai"), "spaces": ("Real ", "AI Generated"),
    "dash": ("real-image", "fake-image"), "img": ("real_img", "ai_img"), "pics": ("real pics", "AI pics"),
}  # fmt: skip
REFUSED = {"bare digits": ("0", "1"), "truth": ("true", "false"), "half": ("real", "midjourney")}


def renamed(root: Path, real: str, fake: str) -> Path:
    for part in ("train", "test"):
        (root / part / "REAL").rename(root / part / real)
        (root / part / "FAKE").rename(root / part / fake)
    return root


@pytest.mark.parametrize("convention", READ)
def test_common_names_of_class_folders_are_read(convention: str, files: Files, write_folder: Write) -> None:
    real, fake = READ[convention]
    assert (label_of(fake), label_of(real)) == (0, 1)
    images = load_images(str(renamed(write_folder(files), real, fake)))
    assert images.train.labels.tolist() == [0] * 60 + [1] * 60
    assert images.left == ()


@pytest.mark.parametrize("convention", REFUSED)
def test_other_names_are_refused_with_what_was_found_and_what_to_add(
    convention: str, files: Files, write_folder: Write
) -> None:
    real, fake = REFUSED[convention]
    root = renamed(write_folder(files), real, fake)
    with pytest.raises(InputError) as caught:
        load_images(str(root))
    message = str(caught.value)
    assert "\n" not in message
    assert f"train/{fake}" in message
    assert "name other folders by data.labels" in message
    images = load_images(str(root), reading=Reading(fake=(fake,), real=(real,)))
    assert images.train.labels.tolist() == [0] * 60 + [1] * 60


def test_a_subject_called_nature_is_no_class(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    for label in ("FAKE", "REAL"):
        (root / "train" / label / "nature").mkdir()
        shutil.move(root / "train" / label / "0000.jpg", root / "train" / label / "nature" / "0000.jpg")
    images = load_images(str(root))
    assert images.train.labels.tolist() == [0] * 60 + [1] * 60


def test_data_labels_that_fit_both_classes_are_refused(files: Files, write_folder: Write) -> None:
    with pytest.raises(InputError, match=r"data.labels: FAKE fits a pattern of fake and one of real"):
        load_images(str(write_folder(files)), reading=Reading(fake=("*",), real=("fa*",)))


def test_zip_archives_of_windows_of_bzip2_and_in_pieces(files: Files, write_folder: Write, tmp_path: Path) -> None:
    root = write_folder(files)
    windows, bzip2 = tmp_path / "windows.zip", tmp_path / "bzip2.zip"
    with zipfile.ZipFile(windows, "w") as one, zipfile.ZipFile(bzip2, "w", zipfile.ZIP_BZIP2) as other:
        for file in sorted(root.rglob("*.jpg")):
            info = zipfile.ZipInfo("x")
            info.filename = str(file.relative_to(root)).replace("/", "\\")
            one.writestr(info, file.read_bytes())
            other.write(file, file.relative_to(root))
    expected = load_images(str(root)).fingerprint
    assert load_images(str(windows)).fingerprint == load_images(str(bzip2)).fingerprint == expected
    (tmp_path / "pieces").mkdir()
    shutil.copy(bzip2, tmp_path / "pieces" / "archive.zip")
    (tmp_path / "pieces" / "archive.z01").write_bytes(b"x")
    for place in (tmp_path / "pieces", tmp_path / "pieces" / "archive.zip"):
        with pytest.raises(InputError, match=r"split into 2 pieces .*`zip -s 0 archive.zip --out whole.zip`"):
            load_images(str(place))


def test_a_zip_of_another_method_says_which(files: Files, write_folder: Write, tmp_path: Path) -> None:
    root = write_folder(files)
    with zipfile.ZipFile(tmp_path / "lzma.zip", "w", zipfile.ZIP_LZMA) as archive:
        for file in sorted(root.rglob("*.jpg")):
            archive.write(file, file.relative_to(root))
    with pytest.raises(InputError, match=r"compressed by method 14 of zip \(read are: stored, deflate, bzip2\)"):
        load_images(str(tmp_path / "lzma.zip"))


def hub(folder: Path, files: Files, names: list[str], columns: tuple[str, str] = ("image", "label")) -> Path:
    """A copy on the hub whose label numbers the file names; the first name is of FAKE."""
    (folder / "data").mkdir(parents=True)
    for part in ("train", "test"):
        rows = [(data, label) for (of, label), named in files.items() if of == part for data in named.values()]
        images = pa.array([{"bytes": data, "path": None} for data, _ in rows])
        numbers = pa.array([index % (len(names) - 1) if label == "FAKE" else len(names) - 1
                            for index, (_, label) in enumerate(rows)])  # fmt: skip
        noted = features(names)
        if columns[1] != "label":
            noted = {key: value.replace(b'"label"', f'"{columns[1]}"'.encode()) for key, value in noted.items()}
        table = pa.table(dict(zip(columns, (images, numbers), strict=True))).replace_schema_metadata(noted)
        pq.write_table(table, folder / "data" / f"{part}-00000-of-00001.parquet")
    return folder


def test_label_names_and_columns_of_the_hub(files: Files, write_folder: Write, tmp_path: Path) -> None:
    expected = load_images(str(write_folder(files))).fingerprint_v2
    assert load_images(str(hub(tmp_path / "human", files, ["ai_generated", "human"]))).fingerprint_v2 == expected
    copy = hub(tmp_path / "columns", files, ["fake", "real"], ("img", "labels"))
    assert load_images(str(copy)).fingerprint_v2 == expected
    generators = hub(tmp_path / "generators", files, ["midjourney", "sdxl", "real"])
    with pytest.raises(InputError, match=r"label midjourney, sdxl names no class; .* data.labels: \{fake: \[midjourn"):
        load_images(str(generators))
    named = load_images(str(generators), reading=Reading(fake=("midjourney", "sdxl")))
    assert named.fingerprint_v2 == expected
    assert named.train.table.group_values("generator") == ("", "midjourney", "sdxl")


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".jpg_large", "", ".JPEG"])
def test_no_picture_is_dropped_for_its_suffix(suffix: str, files: Files, write_folder: Write) -> None:
    files["train", "FAKE"] |= {f"x{number}{suffix}": encode(picture(900 + number)) for number in range(10)}
    assert len(load_images(str(write_folder(files))).train) == 130


def test_only_one_class_serves_an_evaluation_and_no_study(files: Files, write_folder: Write) -> None:
    only = write_folder({key: named for key, named in files.items() if key[1] == "FAKE"})
    assert np.bincount(load_labelled(str(only)).images.labels).tolist() == [20]
    with pytest.raises(InputError, match="no folder train/REAL"):
        load_images(str(only))

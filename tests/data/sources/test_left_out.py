"""Nothing under a source is passed over in silence, and no name is taken for what it is not."""

import io
import os
import shutil
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest
from PIL import Image

from cifake_ray.data import load_images, load_labelled, split_train
from cifake_ray.data.audit.audit import audit_source
from cifake_ray.data.decoding.decode import decode_image
from cifake_ray.data.labels import part_of
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning.study_inputs import gather_inputs, warnings_of

from ..conftest import Files, encode, picture

Write = Callable[..., Path]


def quiet(label: str, unit: str) -> AbstractContextManager[Callable[[int, int], None]]:  # noqa: ARG001
    """A progress display that shows nothing."""
    return nullcontext(lambda done, total: None)  # noqa: ARG005


def refused(source: Path | str) -> str:
    with pytest.raises(InputError) as error:
        load_images(str(source))
    assert "\n" not in str(error.value)
    return str(error.value)


def saved_as(kind: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(7)).save(stream, kind)
    return stream.getvalue()


def test_content_decides_what_is_a_picture_whatever_the_name_ends_in(files: Files, write_folder: Write) -> None:
    files["train", "FAKE"] |= {
        "a.jfif": saved_as("JPEG"), "b.jpe": saved_as("JPEG"), "c.jpg_large": saved_as("JPEG"), "d": saved_as("PNG"),
        "e.avif": saved_as("AVIF"), "f.ppm": saved_as("PPM"), "g.jp2": saved_as("JPEG2000"),
    }  # fmt: skip
    images = load_images(str(write_folder(files)))
    assert (images.train.labels == 0).sum() == 67
    assert (images.skipped, images.left) == ((), ())


def test_files_that_are_no_pictures_are_named_and_count_as_damage(files: Files, write_folder: Write) -> None:
    files["train", "FAKE"]["notes.txt"] = b"no picture"
    images = load_images(str(write_folder(files)))
    assert [(skipped.name, skipped.reason) for skipped in images.skipped] == [("train/FAKE/notes.txt", "not an image")]
    files["train", "FAKE"] |= {f"{i}.txt": b"no picture" for i in range(5)}
    assert "6 of 166 files cannot be read as images, more than 1 %" in refused(write_folder(files, "more"))


def test_links_and_pipes_count_as_unreadable_by_name(files: Files, write_folder: Write) -> None:
    folder = write_folder(files) / "train" / "REAL"
    (folder / "loop.jpg").symlink_to("loop.jpg")
    message = load_images(str(folder.parent.parent)).skipped
    assert [(one.name, "symbolic links" in one.reason) for one in message] == [("train/REAL/loop.jpg", True)]
    (folder / "loop.jpg").unlink()
    os.mkfifo(folder / "pipe.jpg")
    assert [one.reason for one in load_images(str(folder.parent.parent)).skipped] == ["no regular file"]
    (folder / "pipe.jpg").unlink()
    (folder / "zero.jpg").symlink_to("/dev/zero")
    assert [one.reason for one in load_images(str(folder.parent.parent)).skipped] == ["no regular file"]


@pytest.mark.parametrize("source", ["pipe", "/dev/zero"])
def test_a_source_that_is_no_regular_file_is_refused_at_once(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")
    assert "no regular file" in refused(source)


def test_what_lies_beside_the_parts_is_counted_and_named(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    for place in ("extra/3.jpg", "more/REAL/4.jpg", "train/REAL/.DS_Store"):
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_bytes(encode(picture(1)))
    left = {one.reason: (one.count, one.examples) for one in load_images(str(root)).left}
    assert left == {
        "sets of labelled pictures besides the one taken": (1, ("more/REAL",)),
        "files in no folder that names a class": (1, ("extra/3.jpg",)),
        "files of class folders outside train and test": (1, ("more/REAL/4.jpg",)),
        "files that systems leave": (1, ("train/REAL/.DS_Store",)),
    }
    noted = audit_source(str(root), quiet)
    assert {one["reason"] for one in noted["left"]} >= {"files that systems leave"}


@pytest.mark.parametrize(
    ("train", "held_out", "part"),
    [
        ("train", "val", "validation"), ("train", "valid", "validation"), ("train", "dev", "validation"),
        ("train", "eval", "validation"), ("train_data", "test_data", "test"), ("train_set", "test_set", "test"),
        ("Training", "Testing", "test"), ("TrainSet", "validation-set", "validation"),
    ],
)  # fmt: skip
def test_the_held_out_part_is_scored_and_named_whatever_it_is_called(
    train: str, held_out: str, part: str, files: Files, write_folder: Write
) -> None:
    root = write_folder(files)
    (root / "train").rename(root / train)
    (root / "test").rename(root / held_out)
    labelled = load_labelled(str(root))
    assert (labelled.part, len(labelled.images)) == (part, 40)
    assert f"{part} part" in labelled.summary()
    assert "train part" in str(labelled.left[-1])


def test_a_validation_part_never_stands_in_for_a_test_part(files: Files, write_folder: Write) -> None:
    root = write_folder(files)
    shutil.copytree(root / "test", root / "val")
    labelled = load_labelled(str(root))
    assert labelled.part == "test"
    shutil.rmtree(root / "test")
    assert "no test part (parts found: train, validation); add `data.test_fraction: 0.2`" in refused(root)
    assert "or `data.parts: {val: test}` if the validation part is the test part" in refused(root)


def test_words_that_name_no_part_are_none() -> None:
    assert [part_of(name) for name in ("trainer", "contest", "real", "testimony", "train test", "data")] == [None] * 6


@pytest.mark.parametrize("gone", ["small-train-00000-of-00002.parquet", "small-test-00001-of-00002.parquet"])
def test_half_a_parquet_part_is_not_taken_for_the_whole(gone: str, files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    (folder / gone).unlink()
    assert "1 of 2 parquet files, number" in refused(folder)


def test_parquet_files_of_two_splits_are_not_mixed(files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    (folder / "small-train-00001-of-00002.parquet").rename(folder / "small-train-00001-of-00003.parquet")
    assert "mixes files of several splits" in refused(folder)


def test_of_two_members_with_one_name_the_last_counts(files: Files, write_zip: Write) -> None:
    path = write_zip(files)
    again = encode(picture(999))
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("train/REAL/0000.jpg", again)
    images = load_images(str(path))
    assert len(images.train) == 120
    (at,) = ((images.train.table.names == "0000.jpg") & (images.train.labels == 1)).nonzero()[0]
    assert images.train.images[at].tobytes() == decode_image(again, Transform()).pixels


def test_an_encrypted_archive_is_called_so(files: Files, write_zip: Write) -> None:
    path = write_zip(files)
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(signature, at + 4)
    path.write_bytes(data)
    assert "encrypted" in refused(path)
    with pytest.raises(InputError, match="encrypted"):
        audit_source(str(path), quiet)


def test_equal_images_are_the_reason_and_not_the_fraction(files: Files, write_folder: Write) -> None:
    for part in ("train", "test"):
        for label in ("FAKE", "REAL"):
            files[part, label] = dict.fromkeys(files[part, label], encode(picture(1)))
    images = load_images(str(write_folder(files)))
    with pytest.raises(InputError, match="the 120 train images are 1 different pictures"):
        split_train(images.train, 0.2, 0)


def study_on(source: Path, **data: object) -> Experiment:
    tree = {"name": "x", "model": {"kind": "cnn"}, "data": {"source": str(source), **data}}
    return Experiment.model_validate(tree)


def test_a_test_part_of_train_images_is_refused_before_the_first_trial(files: Files, write_folder: Write) -> None:
    for label in ("FAKE", "REAL"):
        files["test", label] = dict(list(files["train", label].items())[:20])
    with pytest.raises(InputError, match="every one of the 40 test images equals a train image"):
        gather_inputs(study_on(write_folder(files)))


def test_subjects_cannot_be_left_out_of_a_set_whose_names_look_alike(files: Files, write_folder: Write) -> None:
    with pytest.raises(InputError, match="the subjects of these images are not known"):
        gather_inputs(study_on(write_folder(files), leave_out=["bird"]))


def test_one_class_that_prevails_is_said_before_the_first_trial(files: Files, write_folder: Write) -> None:
    assert warnings_of(load_images(str(write_folder(files)))) == []
    files["train", "FAKE"] = dict(list(files["train", "FAKE"].items())[:6])
    (warning,) = warnings_of(load_images(str(write_folder(files, "unbalanced"))))
    assert "90.9 % of the 66 train images are REAL: a model that always says REAL reaches that accuracy" in warning

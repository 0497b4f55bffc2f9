import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import load_images
from cifake_ray.errors import InputError
from cifake_ray.storage import mirror

from ..conftest import Files

Write = Callable[..., Path]


def refused(source: Path) -> str:
    with pytest.raises(InputError) as caught:
        load_images(str(source))
    message = str(caught.value)
    assert str(source) in message
    assert "\n" not in message
    return message


def test_missing_folder_is_an_error_that_says_what_is_expected(tmp_path: Path) -> None:
    message = refused(tmp_path / "none")
    assert "no such data folder; expected a folder, zip or tar file with train/FAKE" in message
    assert "the word sample" in message


def test_single_file_is_refused(tmp_path: Path, files: Files, write_parquet: Write) -> None:
    assert "a file that is no zip or tar archive; expected a folder" in refused(next(write_parquet(files).iterdir()))
    (tmp_path / "archive.zip").touch()
    assert "download it again" in refused(tmp_path / "archive.zip")


@pytest.mark.parametrize("missing", ["train/REAL", "test/FAKE"])
def test_missing_part_or_class_folder_is_named(missing: str, files: Files, write_folder: Write) -> None:
    folder = write_folder(files)
    shutil.rmtree(folder / missing)
    assert f"no folder {missing}" in refused(folder)


def test_folder_of_neither_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert "no folder FAKE or REAL (folders with files found: none); words known" in refused(tmp_path / "photos")


def test_classes_not_divided_into_train_and_test_are_refused_with_what_to_do(tmp_path: Path) -> None:
    for name in ("fake", "real"):
        (tmp_path / "own" / name).mkdir(parents=True)
        (tmp_path / "own" / name / "a.jpg").write_bytes(b"x")
    words = refused(tmp_path / "own")
    assert "not divided into train and test; add `data.test_fraction: 0.2`" in words
    assert "all/" not in words


def test_undivided_pictures_of_one_known_class_lack_the_other_by_name(tmp_path: Path) -> None:
    for name in ("human", "sdxl"):
        (tmp_path / "own" / name).mkdir(parents=True)
        (tmp_path / "own" / name / "a.jpg").write_bytes(b"x")
    words = refused(tmp_path / "own")
    assert "no folder FAKE (class folders found: REAL; other folders: sdxl)" in words
    assert "data.labels: {fake: [ai*, sdxl], real: [human]}" in words
    assert "data.test_fraction: 0.2" in words


def test_parquet_without_a_test_part_is_refused(files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    for file in folder.glob("*test*"):
        file.unlink()
    assert "no test part (parts found: train); add `data.test_fraction: 0.2`" in refused(folder)


def test_parquet_with_one_class_is_refused(files: Files, write_parquet: Write) -> None:
    only = {key: named for key, named in files.items() if key[1] == "REAL"}
    assert "no image labelled FAKE in train" in refused(write_parquet(only))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"image": [b"x"], "name": ["a"]}, "no column tells the class"),
        ({"image": [b"x"], "label": [0]}, "nothing says which is FAKE"),
        ({"image": ["x"], "label": [0], "name": ["a"]}, "column image holds string"),
        ({"image": [b"x"], "label": [2], "name": ["a"]}, "label 2; expected 0 (FAKE) or 1 (REAL)"),
        ({"image": [b"x"], "label": pa.array([None], pa.int8()), "name": ["a"]}, "label None; expected 0 (FAKE)"),
    ],
)
def test_parquet_of_another_schema_is_refused(
    columns: dict[str, object], message: str, files: Files, write_parquet: Write
) -> None:
    folder = write_parquet(files)
    pq.write_table(pa.table(columns), folder / "more-train.parquet")
    assert message in refused(folder)


def test_damaged_parquet_is_refused(files: Files, write_parquet: Write) -> None:
    folder = write_parquet(files)
    file = next(folder.glob("*train*"))
    file.write_bytes(file.read_bytes()[:-100])
    assert "cannot be read as parquet" in refused(folder)


@pytest.mark.parametrize("kind", ["zip", "folder", "parquet"])
def test_a_set_in_a_bucket_is_the_same_set_and_is_fetched_once(
    kind: str, bucket: str, files: Files, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    here: Path = request.getfixturevalue(f"write_{kind}")(files)
    address = f"{bucket}/cifake"
    if kind == "zip":
        mirror.write_bytes(f"{address}/kaggle.zip", here.read_bytes())
        address += "/kaggle.zip"
    else:
        mirror.put(address, here)
    there = load_images(address)
    assert (there.kind, there.source) == (kind, address)
    assert there.fingerprint == load_images(str(here)).fingerprint
    with monkeypatch.context() as patched:
        patched.setattr(mirror, "_fetch_file", lambda *_: pytest.fail("fetched again"))
        assert load_images(address).fingerprint == there.fingerprint


def test_what_left_the_bucket_leaves_the_set(bucket: str, files: Files, write_folder: Write) -> None:
    folder = write_folder(files)
    mirror.put(f"{bucket}/cifake", folder)
    before = load_images(f"{bucket}/cifake")
    mirror.remove(f"{bucket}/cifake/train/REAL/{min(files['train', 'REAL'])}")
    assert len(load_images(f"{bucket}/cifake").train) == len(before.train) - 1


def test_images_and_runs_at_one_address_leave_each_other_alone(bucket: str, files: Files, write_folder: Write) -> None:
    mirror.put(bucket, write_folder(files))
    unsent = mirror.mirror(bucket) / "small" / "trials.csv"  # of a run that is under way
    unsent.parent.mkdir(parents=True)
    unsent.touch()
    assert len(load_images(bucket).train) > 0
    assert unsent.exists()


def test_a_place_in_a_bucket_without_images_is_one_line(bucket: str) -> None:
    with pytest.raises(InputError, match=r"s3://.*/none: no such data folder; expected"):
        load_images(f"{bucket}/none")

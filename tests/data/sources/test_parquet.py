"""Parquet as Hugging Face `datasets` writes it: labels by name, whatever their numbers."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.datasets import cifake
from cifake_ray.errors import InputError

from ..conftest import Files

Write = Callable[..., Path]


def features(names: list[str] | None) -> dict[bytes, bytes]:
    """What `datasets` puts into the schema's metadata."""
    label: dict[str, Any] = {"dtype": "int64", "_type": "Value"} if names is None else {"names": names}
    if names is not None:
        label["_type"] = "ClassLabel"
    info = {"info": {"features": {"image": {"_type": "Image"}, "label": label}}}
    return {b"huggingface": json.dumps(info).encode()}


def write_hub(
    folder: Path, files: Files, names: list[str] | None, *, text: bool = False, paths: bool = True, sub: str = "data"
) -> Path:
    """`folder` laid out as a copy on the hub: data/train-00000-of-00001.parquet, …"""
    (folder / sub).mkdir(parents=True)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    numbers = {name.upper(): number for number, name in enumerate(names or ["FAKE", "REAL"])}
    for part in ("train", "test"):
        rows = [(label, name, data) for (p, label), named in files.items() if p == part for name, data in named.items()]
        if not rows:
            continue
        images = pa.array([{"bytes": data, "path": name if paths else None} for _, name, data in rows], kind)
        labels = pa.array([label.lower() if text else numbers[label] for label, _, _ in rows])
        table = pa.table({"image": images, "label": labels}).replace_schema_metadata(None if text else features(names))
        pq.write_table(table, folder / sub / f"{part}-00000-of-00001.parquet")
    return folder


@pytest.mark.parametrize("names", [["FAKE", "REAL"], ["real", "fake"]])
def test_labels_are_read_by_name_and_the_set_equals_the_folder(
    names: list[str], files: Files, write_folder: Write, tmp_path: Path
) -> None:
    folder = load_images(str(write_folder(files)))
    copy = load_images(str(write_hub(tmp_path / "hub", files, names)))
    assert copy.fingerprint == folder.fingerprint
    assert np.array_equal(copy.train.table.names, folder.train.table.names)


def test_labels_as_text_are_read(files: Files, write_folder: Write, tmp_path: Path) -> None:
    expected = load_images(str(write_folder(files))).fingerprint
    assert load_images(str(write_hub(tmp_path / "hub", files, None, text=True))).fingerprint == expected
    assert load_images(str(write_hub(tmp_path / "top", files, None, text=True, sub="."))).fingerprint == expected


def test_numbers_without_names_are_refused(files: Files, tmp_path: Path) -> None:
    for number, names in enumerate([None]):
        with pytest.raises(InputError, match="nothing says which is FAKE") as caught:
            load_images(str(write_hub(tmp_path / str(number), files, names)))
        assert "\n" not in str(caught.value)


def test_names_that_mean_neither_class_are_refused(files: Files, tmp_path: Path) -> None:
    folder = write_hub(tmp_path / "hub", files, ["FAKE", "REAL"])
    for file in (folder / "data").glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(table.replace_schema_metadata(features(["cat", "dog"])), file)
    with pytest.raises(InputError, match="label cat, dog names no class; expected FAKE or REAL"):
        load_images(str(folder))


def test_copy_without_file_names_has_no_subjects_and_loads(files: Files, write_folder: Write, tmp_path: Path) -> None:
    copy = load_images(str(write_hub(tmp_path / "hub", files, ["FAKE", "REAL"], paths=False)))
    named = load_images(str(write_folder(files)))
    assert "subject" in cifake.CARD.codes(named.train.table.names)
    assert not cifake.CARD.codes(copy.train.table.names)
    assert copy.train.table.names[0] == "row 0000000"
    assert np.bincount(copy.train.labels).tolist() == [60, 60]


def test_copy_without_a_test_part_serves_evaluation_but_no_study(files: Files, tmp_path: Path) -> None:
    only = {key: named for key, named in files.items() if key[0] == "train"}
    folder = str(write_hub(tmp_path / "hub", only, ["fake", "real"]))
    with pytest.raises(InputError, match=r"no test part .parts found: train.; add `data.test_fraction: 0.2`"):
        load_images(folder)
    loaded = load_labelled(folder)
    assert (loaded.part, len(loaded.images)) == ("train", 120)
    assert "train part (the only part)" in loaded.summary()


def test_parquet_view_of_the_hub_with_parts_as_folders_is_understood(
    files: Files, write_folder: Write, tmp_path: Path
) -> None:
    folder = write_hub(tmp_path / "hub", files, ["FAKE", "REAL"])
    for part in ("train", "test"):
        (folder / "default" / part).mkdir(parents=True)
        (folder / "data" / f"{part}-00000-of-00001.parquet").rename(folder / "default" / part / "0000.parquet")
    assert load_images(str(folder)).fingerprint == load_images(str(write_folder(files))).fingerprint

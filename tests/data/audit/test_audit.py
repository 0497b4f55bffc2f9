import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cifake_ray.console import progress
from cifake_ray.data import load_images
from cifake_ray.data.audit.audit import audit_source
from cifake_ray.data.audit.encoding import jpeg_quality
from cifake_ray.data.audit.near_duplicates import difference_hashes, near_pairs
from cifake_ray.data.datasets import cifake
from cifake_ray.data.facts import facts_of
from cifake_ray.data.stratify import copies_of
from cifake_ray.errors import InputError

from ..conftest import Files, encode, picture

Write = Callable[..., Path]
FAKE, REAL = ("train", "FAKE"), ("train", "REAL")


def scene(seed: int) -> np.ndarray:
    """A smooth picture, as photographs are: uint8 [32, 32, 3]."""
    small = Image.fromarray(np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8))
    return np.asarray(small.resize((32, 32), Image.Resampling.BICUBIC))


def audited(source: Path | str) -> dict[str, Any]:
    found = audit_source(str(source), progress)
    assert json.loads(json.dumps(found)) == found
    return found


def test_names_that_look_alike_tell_no_subjects(files: Files, write_folder: Write) -> None:
    counts = audited(write_folder(files))["counts"]
    assert counts["train"]["FAKE"] == {"images": 60, "groups": {}}


def test_cifakes_counts_come_by_part_class_and_subject(
    files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 120,000 images are no unit test
    monkeypatch.setattr("cifake_ray.data.audit.audit.chosen_card", lambda *_: cifake.CARD)
    counts = audited(write_folder(files))["counts"]
    assert counts["train"]["FAKE"]["images"] == 60
    subjects = counts["test"]["REAL"]["groups"]["subject"]
    assert (subjects["airplane"], subjects["automobile"], subjects.get("bird", 0), subjects["truck"]) == (7, 7, 0, 6)


def test_exact_duplicates_are_counted_within_and_across_parts(files: Files, write_folder: Write) -> None:
    first, second, third = (files[FAKE][name] for name in sorted(files[FAKE])[:3])
    files[FAKE]["copy.jpg"] = files[FAKE]["copy of copy.jpg"] = first  # three equal images: three pairs
    files["test", "FAKE"]["a.jpg"] = second
    files["test", "REAL"] |= {"b.jpg": third, "c.jpg": encode(picture(99_999)), "d.jpg": encode(picture(99_999))}
    found = audited(write_folder(files))
    assert found["exact_duplicates"]["pairs"] == {"train": 3, "test": 1, "train-test": 2}
    assert found["exact_duplicates"]["test_images_in_train"] == 2
    assert ["train/FAKE/0001 (2).jpg", "test/FAKE/a.jpg"] in found["exact_duplicates"]["examples"]
    conflict = ["train/FAKE/0002 (10).jpg", "test/REAL/b.jpg"]
    assert found["label_conflicts"] == {"pairs": 1, "examples": [conflict]}


def test_near_duplicates_are_found_with_their_distance_and_copies_are_none(files: Files, write_folder: Write) -> None:
    original = scene(1)
    files[FAKE] |= {"original.png": encode(original, "PNG"), "same.png": encode(original, "PNG")}
    files["test", "FAKE"]["saved again.jpg"] = encode(original)
    files["test", "FAKE"]["brighter.png"] = encode(np.clip(original.astype(int) + 60, 0, 255).astype(np.uint8), "PNG")
    near = audited(write_folder(files))["near_duplicates"]
    assert near["pairs"] == {"train": 0, "test": 0, "train-test": 2}
    assert near["test_images_in_train"] == 1
    assert near["examples"][0]["images"] == ["train/FAKE/original.png", "test/FAKE/saved again.jpg"]
    assert 0 < near["examples"][0]["rms"] < 16


def test_packed_pictures_are_compared_by_thumbnails_across_parts_and_classes(tmp_path: Path, cache: Path) -> None:
    def put(part: str, label: str, name: str, pixels: np.ndarray, kind: str = "PNG") -> None:
        file = tmp_path / "native" / part / label / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(pixels, kind))

    def large(seed: int, width: int = 200, height: int = 160) -> np.ndarray:
        return np.asarray(Image.fromarray(scene(seed)).resize((width, height), Image.Resampling.BICUBIC))

    for part, start in (("train", 0), ("val", 20), ("test", 40)):
        for label, more in (("FAKE", 0), ("REAL", 10)):
            for one in range(3):
                put(part, label, f"{one}.png", large(start + more + one))
    put("test", "REAL", "smaller.jpg", large(0, 120, 96), "JPEG")  # of a FAKE train picture
    put("train", "FAKE", "copy of validation.png", large(20))
    found = audited(tmp_path / "native")
    near = found["near_duplicates"]
    assert near["pairs"]["train-test"] == near["pairs_of_both_labels"] == 1
    assert near["examples"][0]["images"] == ["train/FAKE/0.png", "test/REAL/smaller.jpg"]
    assert found["exact_duplicates"]["train_images_in_validation"] == 1
    assert found["counts"]["validation"]["FAKE"]["images"] == 3
    assert found["fingerprint_v2"] == load_images(str(tmp_path / "native")).fingerprint_v2
    assert list(cache.rglob(".staged-*")) == []


def test_every_pair_within_the_limits_is_found() -> None:
    images = np.stack([scene(seed % 300) for seed in range(1200)])
    images[300:] = np.clip(images[300:].astype(int) + np.random.default_rng(0).integers(-9, 10, (900, 1, 1, 3)), 0, 255)
    pairs = near_pairs(images, copies_of(facts_of(images).digests), max_bits=3, max_rms=8.0)
    hashes, flat = difference_hashes(images), images.reshape(1200, -1).astype(np.float64)
    square = (flat**2).sum(1)
    rms = np.sqrt(np.clip(square[:, None] + square - 2 * flat @ flat.T, 0, None) / 3072)
    within = (np.bitwise_count(hashes[:, None] ^ hashes) <= 3) & (rms <= 8.0) & (rms > 0)
    expected = set(zip(*np.nonzero(np.triu(within, 1)), strict=True))
    assert len(pairs) == len(expected) > 500
    assert set(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == expected
    assert pairs.rms.tolist() == sorted(pairs.rms.tolist())


def test_jpeg_tables_and_sizes_of_each_class_are_told_apart(files: Files, write_folder: Write) -> None:
    files[REAL]["high.jpg"] = encode(picture(3), quality=95, subsampling=0)
    files[REAL]["large.png"] = encode(np.zeros((40, 50), np.uint8), "PNG")
    found = audited(write_folder(files))
    (fake,), real = found["jpeg"]["FAKE"], found["jpeg"]["REAL"]
    assert (fake["images"], fake["sums"], fake["quality"]) == (80, [1858, 2780], 75)
    assert [(table["images"], table["quality"], table["subsampling"]) for table in real] == [
        (80, 75, "4:2:0"), (1, 95, "4:4:4")
    ]  # fmt: skip
    assert found["encoding"]["REAL"] == {
        "formats": {"JPEG": 81, "PNG": 1}, "modes": {"RGB": 81, "L": 1}, "sizes": {"32x32": 81, "50x40": 1}
    }  # fmt: skip
    other = tuple(tuple(value + 1 for value in table) for table in fake["tables"])
    assert jpeg_quality(other)[1] is False


def test_undecodable_files_are_named_and_no_reason_to_stop(files: Files, write_zip: Write) -> None:
    files["test", "REAL"] |= {f"bad {number}.jpg": b"broken" for number in range(20)}
    undecodable = audited(write_zip(files))["undecodable"]
    assert undecodable["images"] == 20
    assert undecodable["files"][0] == {"name": "test/REAL/bad 0.jpg", "reason": "not an image"}


def test_fingerprint_is_that_of_the_images_a_study_loads(files: Files, write_zip: Write, write_parquet: Write) -> None:
    whole = audited(write_zip(files))
    assert whole["fingerprint"] == load_images(str(write_parquet(files))).fingerprint
    assert whole["card"] == "generic"


def test_one_class_or_unsplit_images_are_audited_too(files: Files, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "FAKE"
    folder.mkdir(parents=True)
    for name, data in files[FAKE].items():
        (folder / name).write_bytes(data)
    found = audited(folder.parent)
    assert found["counts"]["all"]["FAKE"]["images"] == 60
    assert found["counts"]["all"]["REAL"]["images"] == 0
    assert found["exact_duplicates"]["pairs"] == {"all": 0}
    assert found["fingerprint"] is None


def test_a_class_without_files_has_no_line_of_files(files: Files, tmp_path: Path, command: Callable[..., Any]) -> None:
    (tmp_path / "mine" / "REAL").mkdir(parents=True)
    for name, data in files[REAL].items():
        (tmp_path / "mine" / "REAL" / name).write_bytes(data)
    code, out, _ = command("data", "audit", tmp_path / "mine")
    assert (code, "files FAKE" in out, "files REAL           60 JPEG; 60 RGB; 60 32x32" in out) == (0, False, True)


def test_sample_is_audited_and_a_set_without_a_readable_image_is_refused(tmp_path: Path) -> None:
    sample = audited("sample")
    assert (sample["generated"], sample["encoding"]) == (True, {})
    (tmp_path / "REAL").mkdir()
    (tmp_path / "REAL" / "a.jpg").write_bytes(b"broken")
    with pytest.raises(InputError, match="no readable image"):
        audited(tmp_path)


def test_command_prints_the_audit_and_writes_the_same_as_json(
    files: Files, write_zip: Write, tmp_path: Path, command: Callable[..., Any]
) -> None:
    files["test", "FAKE"]["again.jpg"] = files[FAKE]["0000.jpg"]
    source = write_zip(files)
    code, out, _ = command("data", "audit", source, "--out", tmp_path / "new" / "audit.json")
    assert code == 0
    assert "train FAKE           60\n" in out
    assert "exact duplicates     pairs: 0 train, 0 test, 1 train-test; 1 test images have one in train" in out
    assert "train/FAKE/0000.jpg = test/FAKE/again.jpg" in out
    assert "JPEG tables REAL     80 images: sums 1,858 and 2,780, quality 75, 4:2:0" in out
    code, out, _ = command("data", "audit", source, "--json")
    assert json.loads(out) == json.loads((tmp_path / "new" / "audit.json").read_text())


def test_command_without_a_source_or_with_a_wrong_one_is_one_line_with_code_2(
    tmp_path: Path, command: Callable[..., Any]
) -> None:
    for arguments, message in [
        ((), "a SOURCE is missing"),
        ((tmp_path / "none",), "no such data folder"),
        (("sample", "--out", tmp_path), "cannot be written"),
    ]:
        code, _, err = command("data", "audit", *arguments)
        assert (code, message in err.splitlines()[-1]) == (2, True)


@pytest.mark.cluster
@pytest.mark.real
@pytest.mark.skipif(
    not os.environ.get("CIFAKE_RAY_DATA"), reason="the images may not lie in the repository; CIFAKE_RAY_DATA names none"
)
def test_cifake_has_1336_pairs_of_duplicates_378_of_them_across_and_one_table_set() -> None:
    found = audited(os.environ["CIFAKE_RAY_DATA"])
    assert found["card"] == "cifake"
    assert found["exact_duplicates"]["pairs"] == {"train": 920, "test": 38, "train-test": 378}
    assert found["label_conflicts"]["pairs"] == 0
    assert [[table["sums"] for table in found["jpeg"][label]] for label in ("FAKE", "REAL")] == [[[1858, 2780]]] * 2
    assert set(found["counts"]["train"]["REAL"]["groups"]["subject"].values()) == {5000}

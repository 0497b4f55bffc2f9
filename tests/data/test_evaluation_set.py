import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import load_images, load_labelled
from cifake_ray.data.transform import Transform, conversions_under
from cifake_ray.errors import InputError

from .conftest import Files, encode, picture

Write = Callable[..., Path]


def put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("fake", "real"), [("FAKE", "REAL"), ("fake", "Real"), ("car/1_fake", "car/0_real"), ("ai", "nature")]
)
def test_class_folders_alone_are_enough_to_evaluate_on(fake: str, real: str, tmp_path: Path) -> None:
    for number in range(3):
        put(tmp_path / "other" / fake / f"{number}.png", encode(picture(number), "PNG"))
    put(tmp_path / "other" / real / "deeper" / "a.png", encode(picture(9), "PNG"))
    put(tmp_path / "other" / "notes.png", encode(picture(8), "PNG"))
    loaded = load_labelled(str(tmp_path / "other"))
    assert (loaded.kind, loaded.part) == ("folder", "all")
    assert loaded.images.labels.tolist() == [0, 0, 0, 1]
    assert np.array_equal(loaded.images.images[0], picture(0))
    assert loaded.images.table.names[3].endswith("deeper/a.png")
    assert "all images, 3 FAKE + 1 REAL" in loaded.summary()


def test_only_the_test_part_is_taken_of_a_set_that_has_one(files: Files, write_folder: Write) -> None:
    source = str(write_folder(files))
    loaded = load_labelled(source)
    assert loaded.part == "test"
    assert loaded.images.fingerprint == load_images(source).test.fingerprint
    only_test = write_folder({key: named for key, named in files.items() if key[0] == "test"}, "only")
    assert load_labelled(str(only_test)).images.fingerprint == loaded.images.fingerprint


def test_sample_and_parquet_and_zip_are_understood_too(
    files: Files, write_parquet: Write, write_zip: Write, write_folder: Write
) -> None:
    expected = load_labelled(str(write_folder(files))).images.fingerprint
    assert load_labelled(str(write_parquet(files))).images.fingerprint == expected
    assert load_labelled(str(write_zip(files))).images.fingerprint == expected
    sample = load_labelled("sample")
    assert (sample.card.generated, sample.part, len(sample.images)) == (True, "test", 500)


def test_pictures_of_other_sizes_are_resized_and_that_is_said(tmp_path: Path) -> None:
    put(tmp_path / "o" / "FAKE" / "a.png", encode(picture(0), "PNG"))
    large = Image.fromarray(picture(1)).resize((64, 64), Image.Resampling.NEAREST)
    put(tmp_path / "o" / "REAL" / "b.png", encode(np.asarray(large), "PNG"))
    put(tmp_path / "o" / "REAL" / "c.png", encode(np.asarray(large.crop((0, 0, 64, 48))), "PNG"))
    loaded = load_labelled(str(tmp_path / "o"))
    images = loaded.images.under(Transform()).images
    counted = conversions_under(Transform(), loaded.images.table.sizes)
    assert counted == {"resized from another size (Lanczos)": 2, "squeezed to a square": 1}
    assert np.array_equal(images[1], np.asarray(large.resize((32, 32), Image.Resampling.LANCZOS)))


def test_strays_of_a_held_set_keep_their_size_for_a_native_model_alone(tmp_path: Path) -> None:
    for number in range(19):
        put(tmp_path / "o" / ("FAKE", "REAL")[number % 2] / f"{number:02}.png", encode(picture(number), "PNG"))
    large = np.random.default_rng(5).integers(0, 256, (100, 120, 3), dtype=np.uint8)
    put(tmp_path / "o" / "REAL" / "stray.png", encode(large, "PNG"))
    held, native = (load_labelled(str(tmp_path / "o"), native=native).images for native in (False, True))
    assert (held.side, native.side) == (32, None)
    assert np.array_equal(native.under(Transform("crop", 96)).images[-1], large[2:98, 12:108])
    assert held.table.digests.tolist() == native.table.digests.tolist()
    (tmp_path / "o" / "REAL" / "stray.png").unlink()
    alike = [load_labelled(str(tmp_path / "o"), native=native) for native in (False, True)]
    assert alike[0].images.side == alike[1].images.side == 32
    assert alike[0].path == alike[1].path


def test_second_load_reads_the_cache(files: Files, write_folder: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    source = str(write_folder(files))
    first = load_labelled(source)
    monkeypatch.setattr("cifake_ray.data.build.decode_all", None)
    assert load_labelled(source).path == first.path


def test_no_class_and_contradicting_names_are_refused(tmp_path: Path) -> None:
    put(tmp_path / "both" / "FAKE" / "real" / "a.png", encode(picture(0), "PNG"))
    put(tmp_path / "none" / "cats" / "a.png", encode(picture(0), "PNG"))
    for name, message in [
        ("both", "FAKE/real names both classes"),
        ("none", "no folder FAKE or REAL"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            load_labelled(str(tmp_path / name))
        assert "\n" not in str(caught.value)


def test_zip_of_class_folders_below_others_is_labelled(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("set/car/0_real/a.png", encode(picture(0), "PNG"))
        archive.writestr("set/car/1_fake/a.png", encode(picture(1), "PNG"))
    loaded = load_labelled(str(tmp_path / "other.zip"))
    assert loaded.images.table.names.tolist() == ["set/car/a.png", "set/car/a.png"]

"""Copies of published sets on the hub, as their cards describe them: which columns, which parts, which labels."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cifake_ray.data import ImageSet, load_images, load_labelled
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

from ..conftest import encode

REAL_0 = Reading(fake=("1",), real=("0",))


def pictures(count: int, first: int = 0) -> list[bytes]:
    """Of 40 to 120 px."""
    randoms = [np.random.default_rng(first + at) for at in range(count)]
    shapes = [(*random.integers(40, 121, 2).tolist(), 3) for random in randoms]
    return [encode(random.integers(0, 256, shape, dtype=np.uint8), "PNG")
            for random, shape in zip(randoms, shapes, strict=True)]  # fmt: skip


def write(file: Path, **columns: Sequence[object]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(list(values)) for name, values in columns.items()}), file, row_group_size=5)


def structs(data: Sequence[bytes]) -> list[dict[str, object]]:
    return [{"bytes": one, "path": None} for one in data]


def generators(images: ImageSet) -> dict[str, int]:
    (fake,) = [taken for taken in images.taken if (taken.part, taken.label) == ("train", "FAKE")]
    return fake.groups["generator"]


def test_openfake_has_labels_as_text_and_models(tmp_path: Path) -> None:
    for part, count, first in (("train", 24, 0), ("validation", 12, 100), ("test", 12, 200)):
        write(
            tmp_path / "core" / f"{part}-00000-of-00001.parquet",
            image=structs(pictures(count, first)), prompt=["a"] * count, label=["real", "fake"] * (count // 2),
            model=["real", "flux.1-dev", "real", "sdxl"] * (count // 4), type=["a"] * count,
            release_date=["2024-08"] * count,
        )  # fmt: skip
    images = load_images(str(tmp_path))
    assert [(one.part, one.label, one.images) for one in images.taken] == [
        ("train", "FAKE", 12), ("train", "REAL", 12), ("validation", "FAKE", 6), ("validation", "REAL", 6),
        ("test", "FAKE", 6), ("test", "REAL", 6),
    ]  # fmt: skip
    assert generators(images) == {"flux.1-dev": 6, "sdxl": 6}


def test_community_forensics_has_its_pictures_in_image_data_and_parts_of_its_own(tmp_path: Path) -> None:
    for split, first in (("Systematic", 0), ("PublicEval", 100)):
        write(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet",
            image_name=[f"{at}.png" for at in range(24)], format=["PNG"] * 24, image_data=pictures(24, first),
            model_name=["sdxl", "ImageNet", "dalle3", "COCO"] * 6, real_source=["", "ImageNet", "", "COCO"] * 6,
            split=["train"] * 24, label=[1, 0] * 12,
        )  # fmt: skip
    parts = (("publiceval", "test"), ("systematic", "train"))
    images = load_images(str(tmp_path), reading=Reading(("1",), ("0",), parts))
    assert generators(images) == {"dalle3": 6, "sdxl": 6}
    (real,) = [taken for taken in images.taken if (taken.part, taken.label) == ("test", "REAL")]
    assert real.groups == {"source": {"COCO": 6, "ImageNet": 6}}
    with pytest.raises(InputError, match=r"nothing says which is FAKE.*data.labels: \{fake: \[1\], real: \[0\]\}"):
        load_images(str(tmp_path), reading=Reading(parts=parts))


def test_tiny_genimage_needs_its_card_or_its_generators(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("validation", 100)):
        write(
            tmp_path / "data" / f"{split}-00000-of-00001.parquet",
            image=structs(pictures(40, first)), label=[0, 1] * 20, generator=[0, 3, 0, 5] * 10,
        )  # fmt: skip
    with pytest.raises(InputError, match="nothing says which is FAKE"):
        load_labelled(str(tmp_path))
    images = load_images(str(tmp_path), reading=Reading(card="tiny_genimage", test_fraction=0.2))
    assert [(one.part, one.label, one.images) for one in images.taken] == [
        ("train", "FAKE", 16), ("train", "REAL", 16), ("validation", "FAKE", 20), ("validation", "REAL", 20),
        ("test", "FAKE", 4), ("test", "REAL", 4),
    ]  # fmt: skip
    assert generators(images) == {"3": 8, "5": 8}


def test_aigc_detection_benchmark_is_one_test_part_that_serves_evaluation(tmp_path: Path) -> None:
    write(
        tmp_path / "data" / "test-00000-of-00001.parquet",
        image=structs(pictures(24)), label=[0, 1] * 12, generator=["progan", "progan", "stylegan", "stylegan"] * 6,
    )  # fmt: skip
    scored = load_labelled(str(tmp_path), reading=REAL_0)
    assert (scored.part, len(scored.images)) == ("test", 24)
    assert [one.groups for one in scored.taken if one.label == "FAKE"] == [{"generator": {"progan": 6, "stylegan": 6}}]
    with pytest.raises(InputError, match=r"no train part \(parts found: test\)"):
        load_images(str(tmp_path), reading=REAL_0)

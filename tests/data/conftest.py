"""Small sets of generated pictures on disk, laid out as users have them."""

import io
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from cifake_ray import cli
from cifake_ray.data.datasets.sample_native import NativePicture, build_sample_native

Files = dict[tuple[str, str], dict[str, bytes]]  # (part, class) -> name -> encoded picture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """An empty cache folder for each test, and no data source from the environment (but for tests marked real)."""
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "cache"))
    if request.node.get_closest_marker("real") is None:
        monkeypatch.delenv("CIFAKE_RAY_DATA", raising=False)
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def pictures() -> list[NativePicture]:
    """The sample of native sizes: 8 s to build."""
    return build_sample_native()


def encode(pixels: np.ndarray, kind: str = "JPEG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def picture(seed: int) -> np.ndarray:
    """uint8 [32, 32, 3]."""
    return np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)


@pytest.fixture
def files() -> Files:
    """60 train and 20 test JPEGs of each class, of three subjects, named as CIFAKE names them."""
    made: Files = {}
    for seed, (part, label, count) in enumerate(
        [("train", "FAKE", 60), ("train", "REAL", 60), ("test", "FAKE", 20), ("test", "REAL", 20)]
    ):
        names = [f"{i:04d}{('', ' (2)', ' (10)')[i % 3]}.jpg" for i in range(count)]
        made[part, label] = {name: encode(picture(1000 * seed + i)) for i, name in enumerate(names)}
    return made


@pytest.fixture
def write_folder(tmp_path: Path) -> Callable[[Files], Path]:
    def write(files: Files, name: str = "folder") -> Path:
        for (part, label), pictures in files.items():
            folder = tmp_path / name / part / label
            folder.mkdir(parents=True)
            for file, data in pictures.items():
                (folder / file).write_bytes(data)
        return tmp_path / name

    return write


@pytest.fixture
def write_parquet(tmp_path: Path) -> Callable[[Files], Path]:
    def write(files: Files, name: str = "parquet") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for part in ("train", "test"):
            rows = [
                (data, ("FAKE", "REAL").index(label), file)
                for (where, label), pictures in files.items()
                if where == part
                for file, data in pictures.items()
            ][::-1]
            half = len(rows) // 2
            for number, some in enumerate((rows[half:], rows[:half])):
                columns = dict(zip(("image", "label", "name"), map(list, zip(*some, strict=True)), strict=True))
                pq.write_table(pa.table(columns), folder / f"small-{part}-{number:05d}-of-00002.parquet")
        return folder

    return write


@pytest.fixture
def write_zip(tmp_path: Path) -> Callable[..., Path]:
    def write(files: Files, name: str = "kaggle.zip", top: str = "") -> Path:
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for (part, label), pictures in files.items():
                for file, data in pictures.items():
                    archive.writestr(f"{top}{part}/{label}/{file}", data)
        return tmp_path / name

    return write


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in this process: exit code, what it printed, what it said on stderr."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cifake-ray", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run

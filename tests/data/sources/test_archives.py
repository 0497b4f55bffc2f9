"""Archives as others make them: damaged, with a member written twice."""

import io
import random
import tarfile
from pathlib import Path

import pytest

from cifake_ray.data.decoding.items import read_item
from cifake_ray.data.sources.archives import Unpacked, tar_folders, unpack_tar
from cifake_ray.data.sources.find import find_source
from cifake_ray.errors import InputError


def write_tar(path: Path, names: list[str], mode: str) -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for at, name in enumerate(names):
            info = tarfile.TarInfo(name)
            data = random.Random(at).randbytes(500)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_damaged_compressed_tar_is_one_line_whatever_its_decoder_raises(kind: str, tmp_path: Path) -> None:
    whole = write_tar(tmp_path / f"a.tar.{kind}", [f"real/{at}.png" for at in range(60)], f"w:{kind}").read_bytes()
    for seed in range(12):
        damaged, choose = bytearray(whole), random.Random(seed)
        for _ in range(8):
            damaged[choose.randrange(64, len(whole))] ^= 255
        path = tmp_path / f"{seed}.tar.{kind}"
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="cannot be read as a tar archive"):
            tar_folders("here", unpacked(path, tmp_path).path)
        assert not list(tmp_path.glob(".unpacked-*"))


def unpacked(path: Path, folder: Path) -> Unpacked:
    found = unpack_tar("here", path, folder)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["gz", "bz2", "xz"])
def test_a_compressed_tar_is_unpacked_while_its_pictures_are_needed(kind: str, cache: Path, tmp_path: Path) -> None:
    path = write_tar(tmp_path / f"a.tar.{kind}", [f"{name}/{at}.png" for name in ("real", "fake") for at in range(3)],
                     f"w:{kind}")  # fmt: skip
    parts = find_source(str(path), needed=()).read().parts
    assert [read_item(item) for item in parts["all"].items] == [
        random.Random(at).randbytes(500) for at in (3, 4, 5, 0, 1, 2)
    ]
    assert len(list((cache / "unpacked").iterdir())) == 1
    del parts
    assert not list((cache / "unpacked").iterdir())


def test_a_full_disk_is_one_line_when_a_tar_is_unpacked(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar.gz", ["real/0.png"], "w:gz")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be unpacked into the cache folder .*; free some space"):
        unpack_tar("here", path, tmp_path / "file" / "folder")


def test_of_members_with_one_name_the_last_counts(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", ["real/0.png", "real/1.png", "real/0.png"], "w")
    (folder,) = tar_folders("here", path)
    assert sorted(file.name for file in folder.files) == ["0.png", "1.png"]


@pytest.mark.parametrize("cut", [False, True])
def test_a_plain_tar_with_a_damaged_header_is_refused_rather_than_read_in_part(cut: bool, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", [f"real/{at}.png" for at in range(60)], "w")
    whole, header = path.read_bytes(), 30 * 1024  # a member: a header and a block of 512 bytes
    path.write_bytes(whole[: header + 256] if cut else whole[:header] + b"~" * 512 + whole[header + 512 :])
    with pytest.raises(InputError, match="cannot be read as a tar archive"):
        tar_folders("here", path)

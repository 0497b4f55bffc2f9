"""Weights from the hub where timm keeps them, or from a mirror, into the cache.

HF_ENDPOINT names a mirror of the hub, as for the hub's own programs. `CIFAKE_RAY_WEIGHTS_URL` names a folder of files:
`timm--NAME--model.safetensors`.
"""

import os
from pathlib import Path
from typing import Any

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.models.download import download_file, downloads, mirrored
from cifake_ray.storage.download import file_sha256, hub_file

_FEWEST_DIGITS = 8  # of a SHA-256 in a file's name, as torch.hub has them


def fetched_weights(configuration: Any, name: str) -> Path | None:
    """The file in the cache that an earlier call fetched, if it is as it came; None without one."""
    target = downloads() / _address(configuration, name)[1]
    noted = _note(target)
    return target if target.is_file() and noted.is_file() and noted.read_text() == file_sha256(target) else None


def fetch_weights(configuration: Any, name: str, progress: Progress | None = None) -> Path:
    """Download the weights of a configuration of timm's; the file in the cache, and its SHA-256 beside it.

    The file is compared with the SHA-256 that the hub states; a mirror may state none. Raises InputError when timm
    knows no weights, or the network or the checksum fails.
    """
    url, target = _address(configuration, name)
    noted = _note(downloads() / target)
    stated: list[str] = []  # asked for at most once, and only where a file is to be judged

    def is_right(sha256: str) -> bool:
        if not stated:
            stated.append(_stated_digits(configuration, url, target) or (noted.read_text() if noted.is_file() else ""))
        return sha256.startswith(stated[0])

    path = download_file(url, is_right, progress, name=target)
    noted.write_text(file_sha256(path))
    return path


def _stated_digits(configuration: Any, url: str, target: str) -> str:
    """The SHA-256 that the hub states, or the first digits that a file's name ends in; empty where nobody states any.

    Raises OSError.
    """
    if configuration.hf_hub_id:
        return "" if mirrored() else hub_file(url).sha256 or ""
    digits = target.rpartition("-")[2].partition(".")[0]
    return digits if len(digits) >= _FEWEST_DIGITS and set(digits) <= set("0123456789abcdef") else ""


def _note(target: Path) -> Path:
    """The file that holds the SHA-256 of a fetched file."""
    return target.with_name(f"{target.name}.sha256")


def _address(configuration: Any, name: str) -> tuple[str, str]:
    """The address of the weights, and the name of their file in the cache. Raises InputError where timm has none."""
    if configuration.hf_hub_id:
        repository, _, revision = configuration.hf_hub_id.partition("@")
        file = configuration.hf_hub_filename or "model.safetensors"
        hub = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        return f"{hub}/{repository}/resolve/{revision or 'main'}/{file}", f"{repository.replace('/', '--')}--{file}"
    address = configuration.url
    if not isinstance(address, str) or not address or configuration.custom_load:
        raise InputError(f"weights of {name}: timm has none that can be downloaded", "give a file, or `random`")
    return address, address.rpartition("/")[2]

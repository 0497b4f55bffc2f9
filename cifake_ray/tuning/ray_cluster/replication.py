"""Cache entries on the other nodes of a cluster: copied once a node, through the object store, when a trial needs them.

A node that shares the driver's cache folder, or runs on the driver's machine, reads the driver's entry as it is. Any
other node copies the entry into its own cache: one process copies, under the entry's lock, the other trials wait.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cifake_ray.errors import WorkError
from cifake_ray.storage.cache import META, Staged, cache_root, locked, read_entry, write_entry

_COPY_SECONDS = 600.0  # for one piece of an array to arrive
_PIECE = 1 << 27  # bytes that are sent at a time: squares of many pictures are larger than the memory of a node


@dataclass(frozen=True)
class CacheOrigin:
    """The node that holds the study's images and features: the driver's, and the root of its cache."""

    node: str
    cache: Path


def home_here() -> CacheOrigin:
    """This process's node and cache; Ray is running."""
    return CacheOrigin(ray.get_runtime_context().get_node_id(), cache_root())


def entry_here(path: Path, home: CacheOrigin | None) -> Path:
    """Where this node has the entry at `path` of the driver's cache, which is copied if the node lacks it.

    Raises WorkError when the entry does not arrive.
    """
    if home is None or home.node == ray.get_runtime_context().get_node_id():
        return path
    note = _ask(home, _read_note, path)
    if _digests(path) == note["digests"]:  # the same file system, or the same entry by chance
        return path
    mine = cache_root() / path.relative_to(home.cache)
    with locked(mine):
        if _digests(mine) != note["digests"] or read_entry(mine) is None:
            arrays = {name: _copied(home, path / f"{name}.npy", mine.parent) for name in note["digests"]}
            write_entry(mine, arrays, note["meta"])
    return mine


def _copied(home: CacheOrigin, file: Path, folder: Path) -> Staged:
    """The array in `file` on the driver's node, written piece by piece into a file in `folder`."""
    shape, dtype, count = _ask(home, _describe, file)
    with Staged.bytes_in(folder) as staged, staged.path.open("ab") as copy:
        for start in range(0, count, _PIECE):
            copy.write(_ask(home, _read_piece, file, start).data)
    staged.dtype = dtype
    staged.close(shape)
    return staged


def array_here(path: Path, name: str, home: CacheOrigin | None) -> np.ndarray:
    """One array of the entry at `path` of the driver's cache, which stays out of this node's cache.

    Raises WorkError when the array does not arrive.
    """
    file = path / f"{name}.npy"
    if home is None or home.node == ray.get_runtime_context().get_node_id():
        return _read_array(file)
    return np.asarray(_ask(home, _read_array, file))


def _digests(path: Path) -> dict[str, str] | None:
    try:
        return dict(_read_note(path)["digests"])
    except (OSError, ValueError, KeyError):
        return None


def _ask(home: CacheOrigin, read: Callable[..., Any], path: Path, *rest: int) -> Any:
    """Run `read(path, *rest)` on the driver's node."""
    pinned = NodeAffinitySchedulingStrategy(home.node, soft=False)
    task = ray.remote(read).options(name=f"send {path.name}", num_cpus=0, scheduling_strategy=pinned)
    try:
        return ray.get(task.remote(path, *rest), timeout=_COPY_SECONDS)
    except ray.exceptions.RayError as error:
        raise WorkError(
            f"{path} of the driver's node did not reach this node within {_COPY_SECONDS:.0f} s: {error}"
        ) from error


def _read_note(path: Path) -> dict[str, Any]:
    return dict(json.loads((path / META).read_text()))


def _describe(file: Path) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype and bytes of an array."""
    array = _read_array(file)
    return array.shape, array.dtype.str, array.nbytes


def _read_piece(file: Path, start: int) -> np.ndarray:
    """Bytes of an array from `start` on: uint8 [at most _PIECE]."""
    array = _read_array(file)
    return np.array(array.reshape(-1).view(np.uint8)[start : start + _PIECE])


def _read_array(file: Path) -> np.ndarray:
    return np.load(file, mmap_mode="r")  # type: ignore[no-any-return]

"""Arrays on their way to another node: in pieces, so that one may be larger than a node's memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.storage.cache import write_entry
from cifake_ray.tuning.ray_cluster import replication

ARRAYS = {
    "int32": np.arange(3000, dtype=np.int32).reshape(30, 100),
    "empty": np.zeros((0, 4), np.float16),
    "squares": np.random.default_rng(0).integers(0, 255, (7, 5, 5, 3), dtype=np.uint8),
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_an_array_that_comes_in_pieces_is_the_array(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def here(home: object, read: Callable[..., Any], path: Path, *rest: int) -> Any:  # noqa: ARG001 (the driver's node is here)
        found = read(path, *rest)
        sizes.extend([found.nbytes] if isinstance(found, np.ndarray) else [])
        return found

    monkeypatch.setattr(replication, "_ask", here)
    monkeypatch.setattr(replication, "_PIECE", 1000)
    np.save(tmp_path / "a.npy", ARRAYS[kind])
    copied = replication._copied(replication.CacheOrigin("driver", tmp_path), tmp_path / "a.npy", tmp_path)
    entry = write_entry(tmp_path / "entry", {"a": copied}, {})
    assert entry.arrays["a"].dtype == ARRAYS[kind].dtype
    assert np.array_equal(entry.arrays["a"], ARRAYS[kind])
    assert max(sizes, default=0) <= 1000

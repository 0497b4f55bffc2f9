"""Fixtures of all tests: a cache of each test's own, no data or weights from the environment, one small Ray."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _own_environment(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache folder; data and weights only in tests marked `real`, which share the user's cache."""
    monkeypatch.delenv("CIFAKE_RAY_WEIGHTS_URL", raising=False)
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("CIFAKE_RAY_DATA", raising=False)
        monkeypatch.delenv("CIFAKE_RAY_WEIGHTS", raising=False)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """A Ray of this test session's own, with 2 CPUs."""
    import ray

    often = {"metrics_report_interval_ms": 1000}  # gauges appear after one such interval and vanish after two
    for _ in range(3):  # as the program does: on a busy machine Ray's processes may miss their 30 s
        with contextlib.suppress(Exception):
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _system_config=often)
            break
        ray.shutdown()
    assert ray.is_initialized()
    yield
    ray.shutdown()

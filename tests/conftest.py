"""Fixtures of all tests: a cache of each test's own, no data or weights from the environment, one small Ray."""

import contextlib
import functools
import hashlib
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cifake_ray.console import log_plainly
from cifake_ray.data.datasets import sample
from cifake_ray.ray_private import logs_folder
from cifake_ray.signals import forget


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--without-ray", action="store_true", help="leave out the tests that start a Ray")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the folders whose tests start their own Ray or check recipes by tools of developers."""
    return True if config.getoption("--without-ray") and collection_path.name in {"e2e", "cluster"} else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--without-ray"):
        left_out = [item for item in items if "ray_session" in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(scope="session", autouse=True)
def _one_sample() -> Iterator[None]:
    """Render the built-in sample once a session: it takes 1.5 s of a core, and every test has an empty cache."""
    render = sample.generate_sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "generate_sample", functools.cache(lambda: list(render())))
        yield


@pytest.fixture(autouse=True)
def _own_environment(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache folder; data and weights only in tests marked `real`, which share the user's cache."""
    log_plainly()  # as every command does
    monkeypatch.delenv("CIFAKE_RAY_WEIGHTS_URL", raising=False)
    if request.node.get_closest_marker("real") is None:
        monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("CIFAKE_RAY_DATA", raising=False)
        monkeypatch.delenv("CIFAKE_RAY_WEIGHTS", raising=False)
    yield
    forget()  # or a tested signal ends the test session at its deadline


@pytest.fixture(scope="session")
def ray_session(request: pytest.FixtureRequest) -> Iterator[None]:
    """A Ray of this test session, with 2 CPUs; if it dies, the session ends with Ray's own last words."""
    import ray

    from cifake_ray.tuning.ray_cluster.session import PATIENT
    from cifake_ray.tuning.ray_cluster.watchdog import watching_ray

    def lost(what: str) -> None:  # else Ray ends this process within a minute, with code 1 and not a word
        request.config.pluginmanager.get_plugin("capturemanager").suspend_global_capture()
        logs = Path(logs_folder())
        words = [line for file in logs.glob("raylet.*") for line in file.read_text().splitlines()[-25:]]
        print(f"\nThe {what} of the tests' Ray died:", *words, sep="\n", file=sys.stderr, flush=True)
        os._exit(3)

    often = PATIENT | {"metrics_report_interval_ms": 1000}  # gauges appear after one interval and vanish after two
    for _ in range(3):  # as the program does: on a busy machine Ray's processes may miss their 30 s
        with contextlib.suppress(Exception):
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, _system_config=often)
            break
        ray.shutdown()
    assert ray.is_initialized()
    with watching_ray(lost, own=True):
        yield
    ray.shutdown()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real S3 API on localhost (moto's server); its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path_factory.mktemp("s3") / "log").open("w")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=log, stderr=log)
    address = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(address, timeout=5):
            break
        time.sleep(0.1)
    yield address
    server.terminate()
    server.wait()
    log.close()


@pytest.fixture
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """A storage address in an empty bucket, and the environment that reaches it."""
    for name, value in (("AWS_ENDPOINT_URL", s3_server), ("AWS_ACCESS_KEY_ID", "test"),
                        ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")):  # fmt: skip
        monkeypatch.setenv(name, value)
    name = "bucket-" + hashlib.sha256(str(tmp_path).encode()).hexdigest()[:12]
    urllib.request.urlopen(urllib.request.Request(f"{s3_server}/{name}", method="PUT"), timeout=10).close()
    return f"s3://{name}/runs"

"""How the end-to-end tests call the program: `main` itself, in this process and on the session's Ray, or a process."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from cifake_ray.cli import main

ROOT = Path(__file__).parent.parent.parent
Command = Callable[..., int]

SMALL = """
name: small
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 3, lr: 1e-3, batch_size: 32, precision: fp32}
search_space:
  lr: {type: float, low: 1e-5, high: 3e-2, log: true}
  batch_size: {type: categorical, choices: [16, 32]}
  head_width: {type: int, low: 4, high: 32, log: true}
search: {trials: 6, winner_seeds: 2, reduction_factor: 2}
data: {source: sample, limit: 240}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """An experiment whose trials take a second."""
    file = tmp_path / "small.yaml"
    file.write_text(SMALL)
    return file


@pytest.fixture
def cifake_ray(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Command]:
    """Run the command line in this process, in an empty folder; returns the exit code."""
    monkeypatch.chdir(tmp_path)
    handler = signal.getsignal(signal.SIGINT)

    def run(*arguments: str | Path) -> int:
        monkeypatch.setattr(sys, "argv", ["cifake-ray", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    yield run
    signal.signal(signal.SIGINT, handler)


def start(*arguments: str | Path, group: bool = False) -> subprocess.Popen[str]:
    """The command line as a process that starts a local Ray; `group`: in its own process group."""
    command = [sys.executable, "-c", "from cifake_ray.cli import main; main()", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=group)


def family(pids: list[int]) -> list[Any]:
    """psutil's handles of these processes and of all their children."""
    roots = [psutil.Process(pid) for pid in pids]
    return [process for root in roots for process in (root, *root.children(recursive=True))]


def listening_addresses(pids: list[int]) -> list[str]:
    """The addresses on which these processes and all their children listen."""
    connections = [connection for process in family(pids) for connection in process.net_connections("inet")]
    return [at.laddr.ip.removeprefix("::ffff:") for at in connections if at.status == "LISTEN"]


def process_names(pid: int) -> list[str]:
    """The titles of a process and of all its children; Ray's workers are called `ray::…`."""
    return [" ".join(process.cmdline()) for process in family([pid])]

"""The program works where something is missing that a Linux machine with a user usually has, or says what to set."""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cifake_ray import machine

RUN = Path(__file__).parent / "runs" / "v0.1" / "finished"
WITNESS = RUN.parent / "witness.yaml"
NO_AFFINITY = "import os, psutil; del os.sched_getaffinity"
NO_PSUTIL_AFFINITY = "del psutil.Process.cpu_affinity"
NO_PROC = """
import pathlib

def hidden(real):
    def method(self, *arguments, **options):
        if str(self).startswith("/proc/"):
            raise FileNotFoundError(2, "none", str(self))
        return real(self, *arguments, **options)
    return method

for name in ("read_text", "write_text", "readlink"):  # what psutil and Ray read stays
    setattr(pathlib.Path, name, hidden(getattr(pathlib.Path, name)))
"""
NO_SHARED_MEMORY = """
import os
real_open, real_access = os.open, os.access

def open_(path, *arguments, **options):
    if str(path).startswith("/dev/shm"):
        raise FileNotFoundError(2, "none", path)
    return real_open(path, *arguments, **options)

os.open = open_  # Ray measures the folder by it
os.access = lambda path, *rest, **options: path != "/dev/shm" and real_access(path, *rest, **options)
"""
NO_USER = """
import pwd

def nobody(_):
    raise KeyError("no entry for this user")

pwd.getpwuid = nobody
"""
NOBODY = {"HOME": None, "USER": None, "LOGNAME": None}
LACKS: dict[str, tuple[str, dict[str, str | None]]] = {
    "affinity of os": (NO_AFFINITY, {}),
    "affinity": (f"{NO_AFFINITY}\n{NO_PSUTIL_AFFINITY}", {}),
    "proc": (NO_PROC, {}),
    "shared memory": (NO_SHARED_MEMORY, {}),
    "home": (NO_USER, NOBODY),
}
MACHINES: dict[str, tuple[str, dict[str, str | None]]] = {  # which lack several of them
    "macOS": (f"{NO_AFFINITY}\n{NO_PSUTIL_AFFINITY}\n{NO_PROC}\n{NO_SHARED_MEMORY}", {}),
    "container": (f"{NO_USER}\n{NO_SHARED_MEMORY}", NOBODY),
    "notebook": ("", {"HOME": "/dev/null", "MPLBACKEND": "module://matplotlib_inline.backend"}),
    "ASCII and a long TMPDIR": ("", {"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX", "TMPDIR": "long"}),
}
SMALL = """name: small
model: {kind: cnn, channels: 8, head_width: 8}
training: {epochs: 1, lr: 1.0e-3, batch_size: 16}
search_space: {lr: {type: float, low: 1.0e-3, high: 1.0e-2, log: true}}
search: {trials: 2, winner_seeds: 1}
data: {source: sample, limit: 100}
"""


EACH = """
import json, sys
from cifake_ray.cli import main

for arguments in json.loads(sys.argv[1]):
    sys.argv[1:] = arguments
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""


def run(*commands: list[str | Path], folder: Path, prelude: str = "", **environment: str | None) -> str:
    """What one process says on stderr that runs these commands; the prelude runs first there and in Ray's workers.

    A variable that is None is taken away.
    """
    folder.mkdir(exist_ok=True)
    (folder / "sitecustomize.py").write_text(prelude)
    changed = os.environ | {"PYTHONPATH": str(folder)} | environment
    ended = subprocess.run(
        [sys.executable, "-c", EACH, json.dumps([[*map(str, command)] for command in commands])],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
        env={name: value for name, value in changed.items() if value is not None},
    )
    assert ended.returncode == 0, ended.stderr
    assert "unexpected" not in ended.stderr
    return ended.stderr


def painted(path: Path) -> Path:
    from PIL import Image

    Image.new("RGB", (32, 32), (9, 120, 60)).save(path)
    return path


@pytest.mark.parametrize("machine", MACHINES)
def test_commands_work_on_machines_that_lack_something(machine: str, tmp_path: Path) -> None:
    """One process runs all commands: what each needs is imported where the command needs it."""
    prelude, environment = MACHINES[machine]
    if environment.get("TMPDIR"):
        (tmp_path / ("x" * 200)).mkdir()
        environment = environment | {"TMPDIR": str(tmp_path / ("x" * 200))}
    run(
        ["--help"],
        ["spaces"],
        ["tune", WITNESS, "--dry-run"],
        ["predict", RUN, painted(tmp_path / "ü.png")],
        ["report", RUN, "--out", tmp_path / "out"],
        folder=tmp_path / "site",
        prelude=prelude,
        **environment,
    )


@pytest.mark.cluster
@pytest.mark.parametrize("lack", LACKS)
def test_a_study_and_its_use_work_with_each_lack_alone(lack: str, tmp_path: Path) -> None:
    prelude, environment = LACKS[lack]
    space = tmp_path / "small.yaml"
    space.write_text(SMALL)
    runs, picture = tmp_path / "runs", painted(tmp_path / "a.png")
    for arguments in (
        ["--help"],
        ["tune", space, "--storage", runs, "--name", "study"],
        ["predict", runs / "study", picture],
        ["report", runs / "study", "--out", tmp_path / "out"],
    ):
        run(arguments, folder=tmp_path / "site", prelude=prelude, **environment)
    assert len((runs / "study" / "trials.csv").read_text().splitlines()) == 3


def test_a_full_output_is_one_line(tmp_path: Path) -> None:
    code = "from cifake_ray.cli import main; main()"
    for arguments in (["spaces"], ["report", str(RUN), "--out", str(tmp_path / "out")]):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-c", code, *arguments]
            ended = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1] == ("cifake-ray: the output cannot be written (No space left on device)")


def test_a_home_that_is_none_is_replaced_and_said(tmp_path: Path) -> None:
    site, home = tmp_path / "site", str(tmp_path / "none")
    said = run(["cache", "ls"], folder=site, HOME=home, CIFAKE_RAY_CACHE=None, TMPDIR=str(tmp_path))
    assert f"HOME is no folder: using {tmp_path}/cifake-ray-home-" in said


def test_a_long_temporary_folder_is_not_used_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    assert machine.short_temporary() is None
    monkeypatch.setattr(tempfile, "tempdir", "/tmp/" + "x" * 80)
    assert machine.short_temporary() == "/tmp"


def test_processes_are_known_to_live_or_not() -> None:
    assert machine.process_alive(os.getpid())
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert not machine.process_alive(ended.pid)
    assert not machine.process_alive(None)


def test_a_process_number_that_another_process_has_now_counts_as_ended() -> None:
    assert machine.process_alive(os.getpid(), seen=time.time())
    assert not machine.process_alive(os.getpid(), seen=1.0)
    zombie = subprocess.Popen(["true"])
    while machine.process_alive(zombie.pid):
        time.sleep(0.05)
    assert zombie.wait() == 0


def test_a_machine_without_proc_knows_itself_and_its_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    linux = machine.machine_identity()
    assert linux == machine.machine_identity()
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: Path("/does/not/exist").stat())
    assert machine.machine_identity() == machine.machine_identity() != linux


@pytest.mark.parametrize(
    ("lack", "found"), [("", "3"), (NO_AFFINITY, "3"), (f"{NO_AFFINITY}\n{NO_PSUTIL_AFFINITY}", "5")]
)
def test_cores_are_those_allowed_or_all_of_the_machine(lack: str, found: str) -> None:
    told = (
        "import os, psutil; os.sched_getaffinity = lambda _: {0, 1, 2}; os.cpu_count = lambda: 5\n"
        "psutil.Process.cpu_affinity = lambda _: [0, 1, 2]\n"
    )
    code = f"{told}{lack}\nfrom cifake_ray.machine import cores; print(cores())"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == found


def test_shared_memory_is_none_where_its_folder_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "_SHARED_MEMORY", str(tmp_path))
    assert (machine.shared_memory() or 0) > 0
    monkeypatch.setattr(machine, "_SHARED_MEMORY", str(tmp_path / "none"))
    assert machine.shared_memory() is None


def test_peak_memory_is_what_was_held_even_after_it_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    block = bytearray(64 << 20)
    del block
    assert machine.peak_memory() > 64 << 20
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: Path("/does/not/exist").stat())
    assert machine.peak_memory() > 64 << 20


ASKED = (
    r"sched_getaffinity|cpu_count|['\"]/proc/|['\"]/dev/shm|import psutil|import resource|ctypes|sys\.platform"
    r"|Path\.home\(\)"
)
ELSEWHERE = {
    "cli/__init__.py": "refuses Windows, before anything of the package is imported",
    "doctor/machine.py": "a check has this name",
    "doctor/ports.py": "lists Ray's listening processes by psutil, which works on every system",
    "address.py": "Ray's own place for the token, in the home that the command line made usable",
    "jobs/probe.py": "is sent alone to nodes that lack the package",
    "training/memory.py": "calls the C library's allocator, and does nothing with another",
}


def test_the_machine_is_asked_in_one_module_or_with_a_reason() -> None:
    package = Path(machine.__file__).parent
    asking = {
        file.relative_to(package).as_posix() for file in package.rglob("*.py") if re.search(ASKED, file.read_text())
    }
    assert asking == {"machine.py", *ELSEWHERE}

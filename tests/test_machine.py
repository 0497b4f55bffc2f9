"""The program works where something is missing that a Linux machine with a user usually has, or says what to set."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from cifake_ray import machine

RUN = Path(__file__).parent / "runs" / "v0.1" / "finished"
WITNESS = RUN.parent / "witness.yaml"
NO_AFFINITY = "import os; del os.sched_getaffinity\n"  # macOS
NO_PROC = (  # macOS; what psutil itself reads stays
    "import pathlib; real = pathlib.Path.read_text\n"
    "def read_text(self, *a, **k):\n"
    "    if str(self).startswith('/proc/'): raise FileNotFoundError(2, 'none', str(self))\n"
    "    return real(self, *a, **k)\n"
    "pathlib.Path.read_text = read_text\n"
)


def run(*arguments: str | Path, prelude: str = "", **environment: str | None) -> subprocess.CompletedProcess[str]:
    """The command line in a process; a variable that is None is taken away."""
    changed = {name: value for name, value in (os.environ | environment).items() if value is not None}
    code = f"{prelude}from cifake_ray.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, errors="replace", env=changed)


COMMANDS: dict[str, list[str | Path]] = {
    "help": ["--help"],
    "spaces": ["spaces"],
    "check": ["tune", WITNESS, "--dry-run"],
    "predict": ["predict", RUN],
    "report": ["report", RUN, "--out"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("prelude", "environment"),
    [
        (NO_AFFINITY + NO_PROC, {}),
        ("", {"HOME": "/dev/null", "USER": None, "LOGNAME": None, "MPLBACKEND": "module://matplotlib_inline.backend"}),
        ("", {"PYTHONIOENCODING": "ascii", "LC_ALL": "POSIX", "TMPDIR": "long"}),
    ],
    ids=["macOS", "container and notebook", "ASCII and a long TMPDIR"],
)
def test_every_command_works_with_what_a_machine_lacks_taken_away(
    command: str, prelude: str, environment: dict[str, str | None], tmp_path: Path
) -> None:
    if environment.get("TMPDIR"):
        (tmp_path / ("x" * 200)).mkdir()
        environment = environment | {"TMPDIR": str(tmp_path / ("x" * 200))}
    picture = tmp_path / "ü.png"
    from PIL import Image

    Image.new("RGB", (32, 32), (9, 120, 60)).save(picture)
    arguments = [*COMMANDS[command], *{"predict": [picture], "report": [tmp_path / "out"]}.get(command, [])]
    ended = run(*arguments, prelude=prelude, **environment)
    assert ended.returncode == 0, ended.stderr
    assert "unexpected" not in ended.stderr


def test_a_full_output_is_one_line(tmp_path: Path) -> None:
    code = "from cifake_ray.cli import main; main()"
    for arguments in (["spaces"], ["report", str(RUN), "--out", str(tmp_path / "out")]):
        with Path("/dev/full").open("w") as full:
            command = [sys.executable, "-c", code, *arguments]
            ended = subprocess.run(command, check=False, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120)
        assert ended.returncode == 1
        assert ended.stderr.splitlines()[-1] == ("cifake-ray: the output cannot be written (No space left on device)")


def test_a_home_that_is_none_is_replaced_and_said(tmp_path: Path) -> None:
    ended = run("cache", "ls", HOME=str(tmp_path / "none"), CIFAKE_RAY_CACHE=None, TMPDIR=str(tmp_path))
    assert ended.returncode == 0
    assert f"HOME is no folder: using {tmp_path}/cifake-ray-home-" in ended.stderr


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

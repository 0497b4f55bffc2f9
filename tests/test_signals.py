"""One signal ends a command in order, two end it at once, and nothing that swallows an exception keeps it alive."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from cifake_ray.errors import Interrupted
from cifake_ray.signals import deferred

PRELUDE = "import sys, time, signal, os, subprocess\nfrom cifake_ray import signals\nsignals.install()\n"


def run(code: str, *kinds: signal.Signals, group: bool = False, apart: float = 0.0) -> tuple[int, str]:
    """Run `code`, which prints a line when it is ready, send the signals; (exit code, stderr)."""
    command = [sys.executable, "-c", PRELUDE + code]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(command, text=True, start_new_session=True, **pipes)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    for kind in kinds:
        (os.killpg if group else os.kill)(process.pid, kind)
        time.sleep(apart)
    _, error = process.communicate(timeout=30)
    return process.returncode, error


SWALLOWS = """
signals.ORDERLY_SECONDS = 0.3
signals.resumable("interrupted; resume with: this")
child = subprocess.Popen(["sleep", "600"])
said = False
while True:
    try:
        said = said or print("ready", flush=True) is None  # within: the signal may come at once
        time.sleep(60)
    except BaseException:
        pass
"""


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_command_that_swallows_the_interruption_ends_and_says_how_to_resume(
    kind: signal.Signals,
) -> None:
    code, error = run(SWALLOWS.replace('"600"', f'"60{kind:d}.5"'), kind)
    assert (code, error) == (130, "cifake-ray: interrupted; resume with: this\n")
    children = [p for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"] == ["sleep", f"60{kind:d}.5"]]
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_the_two_signals_of_timeout_are_one() -> None:
    """It signals its child, then the child's group: an orderly end, not a second wish to stop at once."""
    ordered = "print('ready', flush=True)\ntry:\n    time.sleep(60)\nfinally:\n    time.sleep(0.5); print('saved')\n"
    code, error = run(f"{ordered}", signal.SIGTERM, signal.SIGTERM)
    assert code == 1  # Interrupted itself: nothing here turns it into 130
    assert "Interrupted: interrupted; nothing is lost" in error


def test_a_second_signal_later_ends_the_process_at_once() -> None:
    code, error = run(SWALLOWS.replace("= 0.3", "= 60"), signal.SIGINT, signal.SIGINT, apart=1.2)
    assert (code, error) == (130, "cifake-ray: interrupted; resume with: this\n")


def test_a_study_is_told_instead_of_interrupted_and_the_handlers_come_back() -> None:
    seen: list[str] = []
    before = signal.getsignal(signal.SIGTERM)
    with deferred(lambda: seen.append("signal")):
        os.kill(os.getpid(), signal.SIGTERM)
    assert seen == ["signal"]
    assert signal.getsignal(signal.SIGTERM) is before


def test_no_library_catches_an_interruption_as_an_error() -> None:
    assert not issubclass(Interrupted, Exception)


def test_a_closed_terminal_ends_a_command_in_order_unless_nohup_ignores_it() -> None:
    ready = "print('ready', flush=True)\ntime.sleep({})\n"
    code, error = run(ready.format(60), signal.SIGHUP)
    assert code == 1  # Interrupted itself: nothing here turns it into 130
    assert "Interrupted: interrupted" in error
    ignored = PRELUDE.replace("signals.install()", "signal.signal(signal.SIGHUP, signal.SIG_IGN); signals.install()")
    process = subprocess.Popen([sys.executable, "-c", ignored + ready.format(1)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 0


DROPS = """
class Dropped:
    def __del__(self):
        print("ready", flush=True)
        time.sleep(0.5)
DROP()
{then}
"""
IN_A_FORK = """
def callback():
    print("ready", flush=True)
    time.sleep(0.5)
os.register_at_fork(after_in_parent=callback)
if os.fork() == 0:
    os._exit(0)
{then}
"""


FORKED = """
child = os.fork()
if child == 0:
    print("ready", flush=True)
    time.sleep(60)
    os._exit(7)
try:
    time.sleep(60)
except BaseException:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


IN_A_WEAK_REFERENCE = """
import weakref
class Gone:
    pass
def callback(_):
    print("ready", flush=True)
    time.sleep(0.5)
reference = weakref.ref(Gone(), callback)
{then}
"""
IN_THE_COLLECTOR = """
import gc
def callback(phase, _):
    if phase == "start":
        gc.callbacks.remove(callback)
        print("ready", flush=True)
        time.sleep(0.5)
gc.callbacks.append(callback)
gc.collect()
{then}
"""


@pytest.mark.parametrize("code", [DROPS.replace("DROP", "Dropped"), IN_A_FORK, IN_A_WEAK_REFERENCE, IN_THE_COLLECTOR])
def test_an_interruption_that_python_drops_is_raised_again(code: str) -> None:
    """In CI a signal met filelock's callback of Ray's first fork, and the study ran to its end."""
    ended, error = run(code.format(then="time.sleep(60)"), signal.SIGINT)
    assert ended == 1  # Interrupted itself: nothing here turns it into 130
    assert error.count("Interrupted: interrupted; nothing is lost") == 1
    assert "ignored" not in error


def test_a_signal_before_a_study_is_not_forgotten_by_it() -> None:
    then = "with signals.deferred(lambda: None):\n    print('the study ran')\n"
    lost = "try:\n    print('ready', flush=True); time.sleep(60)\nexcept BaseException:\n    pass\n"
    ended, error = run(lost + then, signal.SIGINT)
    assert ended == 1
    assert "Interrupted: interrupted; nothing is lost" in error


def test_a_study_that_begins_after_a_dropped_signal_ends_once_and_quietly() -> None:
    then = "try:\n    with signals.deferred(lambda: None):\n        pass\nfinally:\n    time.sleep(0.5)\n"
    ended, error = run(DROPS.replace("DROP", "Dropped").format(then=then), signal.SIGINT)
    assert ended == 1
    assert error.count("Interrupted: interrupted; nothing is lost") == 1


def test_other_exceptions_that_python_drops_reach_the_hook_before() -> None:
    raises = "class Fails:\n    def __del__(self):\n        raise ValueError('in del')\nFails()\n"
    command = "import sys; sys.unraisablehook = lambda lost: print('seen', lost.exc_value)\n" + PRELUDE * 2 + raises
    done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("seen in del\n", "")


def test_a_forked_child_that_has_no_program_yet_ends_by_the_signal() -> None:
    assert run(FORKED, signal.SIGINT, group=True) == (130, "")


MAIN_WITH = """
import cifake_ray.cli as cli
def command(arguments):
    print("ready", flush=True)
    try:
        time.sleep(60)
    except BaseException as error:
        raise RuntimeError("Error building serializer") from error
cli._run = command
cli.main()
"""


def test_an_import_that_makes_an_error_of_the_interruption_is_an_interruption() -> None:
    """pydantic turns an exception in the middle of building a class into a SchemaError."""
    assert run(MAIN_WITH, signal.SIGINT) == (130, "cifake-ray: interrupted; nothing is lost, run the command again\n")


POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
pool = ProcessPoolExecutor(2, multiprocessing.get_context("fork"), signals.end_as_child)
works = [pool.submit(time.sleep, 61.5) for _ in range(2)]
while sum(p.is_alive() for p in multiprocessing.active_children()) < 2:
    time.sleep(0.01)
time.sleep(0.5)
print("ready", flush=True)
time.sleep(60)
"""


def test_forked_processes_end_with_a_killed_parent() -> None:
    command = [sys.executable, "-c", PRELUDE + POOL]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    children = psutil.Process(process.pid).children()
    assert len(children) == 2
    process.kill()
    process.communicate(timeout=30)
    assert not psutil.wait_procs(children, timeout=10)[1]

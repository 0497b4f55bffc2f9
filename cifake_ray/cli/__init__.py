"""The commands: parse, call one function below, print. Heavy imports stand inside commands: --help is quick."""

import os
import sys
from itertools import pairwise
from typing import Any

from cifake_ray import signals
from cifake_ray.console import log_plainly, printable, shortened
from cifake_ray.errors import InputError, Interrupted, WorkError
from cifake_ray.machine import make_environment_usable


def main() -> None:
    """Run the command line; errors become one line and an exit code: 0 done, 1 failed, 2 wrong, 130 stopped."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        if sys.platform == "win32":
            raise InputError("Windows is not supported", "run cifake-ray in WSL, the Windows Subsystem for Linux")
        log_plainly()
        signals.install()  # before the rest: a signal may come while the commands are imported
        make_environment_usable()
        code = _run(arguments)
        sys.stdout.flush()
    except (InputError, WorkError, Interrupted, OSError) as error:
        if debug:
            raise
        code = _report_error(error)
    except Exception as error:
        if debug:
            raise
        if signals.signalled():
            sys.exit(_report_error(signals.interruption()))
        text = " ".join(str(error).split())[:300]
        print(f"cifake-ray: unexpected {type(error).__name__}: {text} (--debug shows the traceback)", file=sys.stderr)
        code = 1
    sys.exit(code)


def command_line() -> Any:
    """The program with all its commands."""
    # isort: off
    from cifake_ray.cli import study, blend, cluster, read, data, render, machine  # noqa: F401 (their order is that of --help)

    # isort: on
    from cifake_ray.cli.app import app

    return app


def _run(arguments: list[str]) -> int:
    """Exit code of a command that ended by itself. Raises what the command raised, and OSError for a closed output."""
    _check_not_empty(arguments)
    try:
        command_line()(arguments, prog_name="cifake-ray", standalone_mode=True)
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer would exit with 1
            raise stop.__context__ from None
        return stop.code if isinstance(stop.code, int) else 0 if stop.code is None else 1
    return 0


def _check_not_empty(arguments: list[str]) -> None:
    """Raise InputError for an empty argument, which a shell makes of a variable that is not set."""
    for before, argument in pairwise(["", *arguments]):
        option, equals, value = argument.partition("=") if argument.startswith("--") else (before, "=", argument)
        if equals and not value.strip():
            what = option if option.startswith("-") else "an argument"
            raise InputError(f"{what} is empty", "give a value, or leave it out")


def _report_error(error: BaseException) -> int:
    """Print the error's one line; return the exit code."""
    if isinstance(error, BrokenPipeError):  # `cifake-ray runs | head`
        _abandon_output()
        return 0
    if isinstance(error, OSError):
        what = f"{error.filename}: cannot be read or written" if error.filename else "the output cannot be written"
        error = WorkError(f"{what} ({error.strerror or error})")
        _abandon_output()
    print(f"cifake-ray: {shortened(printable(error))}", file=sys.stderr)
    return 2 if isinstance(error, InputError) else 1 if isinstance(error, WorkError) else 130


def _abandon_output() -> None:
    """Discard the rest of the output, over which Python would fail once more at exit."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):
        return

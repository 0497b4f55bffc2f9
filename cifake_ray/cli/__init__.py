"""The commands: parse, call one function below, print. Heavy imports stand inside the verbs, so that help is quick."""

import os
import signal
import sys
from typing import Any

from cifake_ray.cli.app import app
from cifake_ray.errors import InputError, Interrupted, WorkError

# isort: off
from cifake_ray.cli import study, cluster, read, data, render, machine  # noqa: F401 (their order is that of --help)
# isort: on


def main() -> None:
    """Run the command line; errors become one line and an exit code: 0 done, 1 failed, 2 wrong, 130 stopped."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    signal.signal(signal.SIGINT, _interrupt)
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")  # under `uv run` Ray would build it in every worker
    try:
        code = app(arguments, prog_name="cifake-ray", standalone_mode=True)
    except (InputError, WorkError, Interrupted, BrokenPipeError) as error:
        if debug:
            raise
        code = _report_error(error)
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):  # typer would make it a 1
            raise
        code = _report_error(stop.__context__)
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())[:300]
        print(f"cifake-ray: unexpected {type(error).__name__}: {text} (--debug shows the traceback)", file=sys.stderr)
        code = 1
    sys.exit(code)


def _interrupt(number: int, frame: Any) -> None:  # noqa: ARG001
    """Ctrl-C where nothing handles it better; typer would make code 1 of a KeyboardInterrupt."""
    raise Interrupted("interrupted")


def _report_error(error: BaseException) -> int:
    """Print the error's one line; returns the exit code."""
    if isinstance(error, BrokenPipeError):  # `cifake-ray runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(f"cifake-ray: {error}", file=sys.stderr)
    return 2 if isinstance(error, InputError) else 1 if isinstance(error, WorkError) else 130

"""Output for people who wait: a bar on a terminal, a line now and then elsewhere."""

import json
import logging
import shutil
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

Progress = Callable[[int, int], None]  # done, in all: images, bytes (0 where a server does not say how many)
LOGGER = logging.getLogger("cifake_ray")
LINE_SECONDS = 10.0
_NOTE = "cifake-ray-progress "  # begins the lines that a study in a Ray job prints for machines


def printable(text: object) -> str:
    """`text` as one line that a terminal only shows: control characters and undecodable bytes become escapes."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(text))


def shortened(text: str, longest: int = 1000) -> str:
    """`text`, without its middle when it is longer: values are long, and the cure ends the line."""
    half = longest // 2
    return text if len(text) <= longest else f"{text[:half]} … {len(text) - 2 * half:,} characters … {text[-half:]}"


def wrapped(text: str, stream: TextIO) -> str:
    """`text` for this stream: on a terminal broken between parts (` · `) or words and indented, else whole."""
    if not stream.isatty():
        return text
    width = shutil.get_terminal_size().columns
    return "\n".join(_broken(line, width) for line in text.split("\n"))


def _broken(line: str, width: int) -> str:
    """Parts stay whole where a line holds them: a part may be a command to be copied."""
    lines = [""]
    for part in line.split(" · "):
        joined = f"{lines[-1]} · {part}" if lines[-1] else part
        if len(joined) <= width:
            lines[-1] = joined
            continue
        first = "    " if lines[-1] else ""
        lines += textwrap.wrap(
            part, width, initial_indent=first, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
        )
    return "\n".join(lines if lines[0] or len(lines) == 1 else lines[1:])


class _Stderr(logging.Handler):
    """Prints each message as a line of its own to the standard error of the moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(wrapped(record.getMessage(), sys.stderr), file=sys.stderr, flush=True)


def log_plainly() -> None:
    """Print what the library logs as plain lines: for the command line. Elsewhere the caller's logging decides."""
    if not any(isinstance(handler, _Stderr) for handler in LOGGER.handlers):
        LOGGER.addHandler(_Stderr())
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False


def say(line: str) -> None:
    """Log one line for people: what begins, ends or was found."""
    LOGGER.info("%s", line)


def warn(line: str) -> None:
    """Log one line that a person should read even where only warnings are shown: what waits, died or was lost."""
    LOGGER.warning("%s", line)


def counted(count: int, noun: str) -> str:
    """`1 epoch`, `1,200 epochs`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def percent(share: float | None) -> str:
    """0.885 as `88.50 %`, the one unit of accuracies for people (JSON keeps 0.885); empty for None."""
    return "" if share is None else f"{100 * share:.2f} %"


def duration(seconds: float) -> str:
    """`0.42 s`, `37 s`, `12 min`, `3.4 h`."""
    if seconds < 90:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_note(note: dict[str, Any]) -> None:
    """Print one line of JSON to a Ray job's log, all of a job that a shell with the cluster's address can read."""
    sys.stderr.write(f"{_NOTE}{json.dumps(note)}\n")
    sys.stderr.flush()


def read_note(line: str) -> dict[str, Any] | None:
    """The note that `print_note` printed; None for any other line (`{}` for a damaged one)."""
    if not line.startswith(_NOTE):
        return None
    try:
        return dict(json.loads(line.removeprefix(_NOTE)))
    except ValueError:
        return {}


@contextmanager
def progress(label: str, unit: str = "images") -> Iterator[Callable[[int, int], None]]:
    """Context of a callable (done, total) that shows count, rate and time left on stderr. Silent if never called."""
    shown = _bar(label, unit) if sys.stderr.isatty() else _lines(label, unit)
    with shown as update:
        yield update


@contextmanager
def _bar(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
        task, start = None, time.monotonic()

        def update(done: int, total: int) -> None:
            nonlocal task
            if task is None:
                task = bar.add_task(label, total=total, rate="")
            rate = done / max(time.monotonic() - start, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{rate:,.0f} {unit}/s")

        yield update


@contextmanager
def _lines(label: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    start = last = time.monotonic()

    def update(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < LINE_SECONDS:
            return
        last = now
        say(f"{label}: {done:,} of {total:,} {unit}, {done / max(now - start, 1e-9):,.0f}/s")

    yield update

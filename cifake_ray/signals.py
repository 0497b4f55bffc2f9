"""Ctrl-C, SIGTERM, SIGHUP of a closed terminal: the first ends the command in order, the second at once; none can hang.

Signal handlers belong to the process, and so does what is kept here: the last line that a signal prints.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from cifake_ray.errors import Interrupted
from cifake_ray.machine import end_children, end_with_parent

KINDS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
ORDERLY_SECONDS = 8.0  # to end in order; Docker kills 10 s after SIGTERM, Slurm 30 s
_AGAIN_SECONDS = 1.0  # `timeout` signals its child and then the child's whole group: these two are one signal
_CALLBACK_SECONDS = 0.1  # longer than any callback that drops an exception
_NOTHING_SAVED = "interrupted; nothing is lost, run the command again"


@dataclass
class _State:
    """`message`: the last line. `on_signal`: what a study does instead of an exception in the middle of Ray's loop."""

    message: str = _NOTHING_SAVED
    on_signal: Callable[[], None] | None = None
    signalled: float | None = None  # time.monotonic() of the first signal
    pid: int = 0  # of the command that called `install`; 0 in a notebook and in tests of the library
    swallowed: bool = False  # the interruption was raised where Python drops exceptions, and comes once more


_state = _State()
_others: list[Callable[["sys.UnraisableHookArgs"], Any]] = []  # the hook before ours, for all other exceptions


def install() -> None:
    """Handle these signals by raising Interrupted in the main thread; not a SIGHUP that `nohup` ignores."""
    _state.__init__(pid=os.getpid())  # type: ignore[misc]  # a command has one; tests run many commands in a process
    if sys.unraisablehook is not _unraisable:
        _others[:] = [sys.unraisablehook]
        sys.unraisablehook = _unraisable
    for kind in _kinds():
        signal.signal(kind, handle)


def _kinds() -> list[signal.Signals]:
    return [kind for kind in KINDS if kind == signal.SIGINT or signal.getsignal(kind) is not signal.SIG_IGN]


def signalled() -> bool:
    """Whether a signal has come: a later error follows from the signal, as one raised in the middle of an import."""
    return _state.signalled is not None


def interruption() -> Interrupted:
    """The error that a signal raises here: what was saved, and the command that resumes."""
    return Interrupted(_state.message)


def forget() -> None:
    """Cancel the deadline of a signal in a process that has other work to do, as that of tests or a notebook."""
    _state.signalled = None


def resumable(how: str) -> None:
    """Set the last line of a signal from here on: what was saved, and the command that resumes."""
    _state.message = how


@contextmanager
def deferred(on_signal: Callable[[], None]) -> Iterator[None]:
    """Call `on_signal` at the first signal instead of raising; the handlers that were there before come back.

    Raises Interrupted if a signal came before and its exception was lost.
    """
    if _state.signalled is not None:
        _state.swallowed = False  # raised here: the signal that is under way to raise it once more does nothing
        raise interruption()
    before = {kind: signal.signal(kind, handle) for kind in _kinds()}
    _state.on_signal = on_signal
    try:
        yield
    finally:
        _state.on_signal = None
        if not _state.pid:
            forget()  # the process of a notebook has a life after its study
        for kind, handler in before.items():
            signal.signal(kind, handler)


def _unraisable(lost: "sys.UnraisableHookArgs") -> None:
    """Raise an interruption again that Python dropped, as in the callbacks of a fork (filelock has three) and of `del`.

    Such a callback ends before the hook's thread can signal, so that the second exception is not dropped with it.
    """
    if lost.exc_type is not Interrupted or _state.pid != os.getpid():
        for hook in _others:
            hook(lost)
        return
    _state.swallowed = True
    threading.Timer(_CALLBACK_SECONDS, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT)).start()


def handle(number: int, frame: Any) -> None:  # noqa: ARG001
    """The handler of these signals."""
    if _state.pid not in {0, os.getpid()}:
        os._exit(128 + number)  # a forked child that has not started its own program yet
    if _state.swallowed:
        _state.swallowed = False
        raise interruption()
    now = time.monotonic()
    if _state.signalled is not None and now - _state.signalled < _AGAIN_SECONDS:
        return
    if _state.signalled is not None:
        leave(_state.message, 130)
        return
    _state.signalled = now
    threading.Thread(target=_leave_late, args=(now,), daemon=True).start()
    if _state.on_signal is None:
        raise interruption()
    _state.on_signal()


def end_as_child() -> None:
    """Let signals, and the end of its parent (Linux), end this forked process at once and without a line."""
    for kind in KINDS:
        signal.signal(kind, signal.SIG_DFL)
    end_with_parent()


def _leave_late(since: float) -> None:
    """End a process that a signal did not end: the exception was swallowed, or a call of Ray's waits for a dead Ray."""
    time.sleep(ORDERLY_SECONDS)
    if _state.signalled == since:
        leave(_state.message, 130)


def leave(message: str, code: int) -> NoReturn:
    """Print the last line and end this process and all its children now. What was reported is on disk already."""
    with suppress(OSError, ValueError):
        print(f"cifake-ray: {message}", file=sys.stderr, flush=True)
    end_children()
    os._exit(code)

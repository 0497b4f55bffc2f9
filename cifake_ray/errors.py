"""Errors for users: a wrong command or file, failed work, an interruption; each is one line and an exit code."""

import difflib
from collections.abc import Sequence


class InputError(Exception):
    """The command, or a file it names, is wrong: one line, exit code 2.

    `what` says what is wrong and where, `cure` how to mend it; the line is `what; cure`. `cure` is empty where `what`
    leaves one thing to do only.
    """

    def __init__(self, what: str, cure: str = "") -> None:
        super().__init__(what, cure)
        self.what, self.cure = what, cure

    def __str__(self) -> str:
        return f"{self.what}; {self.cure}" if self.cure else self.what


class StorageError(InputError):
    """A storage refuses, or does not answer. While a study runs, that interrupts the study."""


class WorkError(Exception):
    """The input was right and the work failed: one line, exit code 1."""


class Interrupted(BaseException):
    """Stopped by a signal with everything saved; the message says how to resume, exit code 130.

    No `Exception`, as KeyboardInterrupt is none: libraries catch those, and the command would run to its end.
    """


def nearest(name: str, valid: Sequence[str]) -> str:
    """`did you mean …?` for a name close to a valid one, else `valid keys: …`."""
    close = difflib.get_close_matches(name, valid, n=1, cutoff=0.5)
    return f"did you mean {close[0]}?" if close else f"valid keys: {', '.join(valid)}"

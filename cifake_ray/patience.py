"""Waiting with a limit: a line a minute names what is waited for, and so does the error at the limit."""

import time
from collections.abc import Callable

from cifake_ray.console import warn
from cifake_ray.errors import WorkError

SAID_SECONDS = 60.0  # between two lines


class Patience:
    """How long nothing has moved. `what()` says what is waited for and why it may not come, `cure` how to continue."""

    def __init__(self, what: Callable[[], str], limit_s: float, cure: str) -> None:
        self.what, self.limit_s, self.cure = what, limit_s, cure
        self.moved()

    def moved(self) -> None:
        """Begin the wait anew: something came."""
        self._since = self._said = time.monotonic()

    def look(self) -> None:
        """Print a line a minute while nothing comes. Raises WorkError after `limit_s` seconds."""
        now = time.monotonic()
        waited = now - self._since
        if waited >= self.limit_s:
            raise WorkError(f"waited {waited:.0f} s (resources.wait_s) for {self.what()}; {self.cure}")
        if now - self._said >= SAID_SECONDS:
            self._said = now
            warn(f"waiting for {self.what()} ({waited:.0f} s so far)")

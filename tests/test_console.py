"""The library logs and prints nothing by itself; the command line prints plain lines."""

import subprocess
import sys

LIBRARY = """
import logging
from cifake_ray.console import log_plainly, say, warn
{setup}
say("3/3 retraining")
warn("waiting for a node")
"""


def printed(setup: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", LIBRARY.format(setup=setup)], capture_output=True, text=True, check=True
    )
    return done.stdout, done.stderr


def test_a_notebook_sees_warnings_alone_until_it_asks_for_more() -> None:
    assert printed("") == ("", "waiting for a node\n")
    everything = printed("logging.basicConfig(level=logging.INFO, format='%(name)s: %(message)s')")
    assert everything == ("", "cifake_ray: 3/3 retraining\ncifake_ray: waiting for a node\n")


def test_the_command_line_prints_each_message_once_as_a_plain_line() -> None:
    twice = "logging.basicConfig(); log_plainly(); log_plainly()"
    assert printed(twice) == ("", "3/3 retraining\nwaiting for a node\n")

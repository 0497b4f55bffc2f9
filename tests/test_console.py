"""Text for people: one line, nothing that a terminal obeys; the library logs, the command line prints plain lines."""

import subprocess
import sys

import pytest

from cifake_ray import console
from cifake_ray.console import wrapped

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


def test_text_from_files_cannot_steer_a_terminal() -> None:
    assert console.printable("a\x1b[31mb\nü\udc80") == "a\\x1b[31mb\\nü\\udc80"


def test_a_line_on_a_terminal_is_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "mine · cnn · 6 trials · images: synthetic sample; results say nothing about CIFAKE\nsecond line"
    commands = "  next: cifake-ray report runs/mine · cifake-ray predict runs/mine IMAGE"
    assert wrapped(line, sys.stderr) == line  # a file has room
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "40")
    found = wrapped(line, sys.stderr).splitlines()
    assert max(map(len, found)) <= 40
    assert found == [
        "mine · cnn · 6 trials", "    images: synthetic sample; results", "    say nothing about CIFAKE", "second line",
    ]  # fmt: skip
    assert wrapped(commands, sys.stderr).splitlines() == [  # each to be copied whole
        "  next: cifake-ray report runs/mine", "    cifake-ray predict runs/mine IMAGE",
    ]  # fmt: skip
    assert wrapped("\n", sys.stderr) == "\n"


def test_a_long_text_loses_its_middle_and_keeps_its_end() -> None:
    short = console.shortened("a" * 3000 + "the cure", longest=20)
    assert short.startswith("a" * 10)
    assert short.endswith("the cure")
    assert "2,988 characters" in short
    assert console.shortened("whole") == "whole"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.421, "0.42 s"), (37, "37 s"), (89.6, "90 s"), (720, "12 min"), (12240, "3.4 h")]
)
def test_durations_are_in_the_unit_that_reads_best(seconds: float, text: str) -> None:
    assert console.duration(seconds) == text


def test_counts_and_shares_read_as_words_and_percent() -> None:
    assert (console.counted(1, "epoch"), console.counted(1200, "epoch")) == ("1 epoch", "1,200 epochs")
    assert (console.percent(0.885), console.percent(None)) == ("88.50 %", "")


def test_a_note_in_a_jobs_log_is_read_back(capsys: pytest.CaptureFixture[str]) -> None:
    console.print_note({"trial": 3, "text": "ü\n"})
    line = capsys.readouterr().err.rstrip("\n")
    assert console.read_note(line) == {"trial": 3, "text": "ü\n"}
    assert console.read_note(line[:-2]) == {}
    assert console.read_note("another line") is None


def test_without_a_terminal_progress_is_a_line_and_silent_if_nothing_is_done(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with console.progress("decoding"):
        pass
    assert capsys.readouterr().err == ""
    with console.progress("decoding") as update:
        update(1, 2)
        update(2, 2)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("decoding: 2 of 2 images, ")

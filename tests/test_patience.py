"""Whoever waits hears for what, and not for ever."""

from types import SimpleNamespace

import pytest

from cifake_ray import patience
from cifake_ray.errors import WorkError
from cifake_ray.patience import Patience


def test_a_wait_says_for_what_now_and_then_and_ends_with_the_same_words_and_the_cure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(patience, "time", clock)
    waiting = Patience(lambda: "a place: none of 2 CPUs is free", 200.0, "try again later")
    for clock.now in (10.0, 59.0, 61.0, 100.0, 122.0):
        waiting.look()
    assert capsys.readouterr().err.splitlines() == [
        "waiting for a place: none of 2 CPUs is free (61 s so far)",
        "waiting for a place: none of 2 CPUs is free (122 s so far)",
    ]
    waiting.moved()
    clock.now = 300.0
    waiting.look()
    clock.now = 322.0
    with pytest.raises(
        WorkError, match=r"^waited 200 s \(resources.wait_s\) for a place: none of .*; try again later$"
    ):
        waiting.look()

"""A check is as bad as its worst finding."""

from cifake_ray.doctor.check import judged


def test_red_wins_over_amber_and_green_is_what_neither_is() -> None:
    assert judged("disk", "full", "make room", amber=True, red=True).level == "red"
    assert judged("disk", "little", "make room", amber=[1]).level == "amber"
    assert judged("disk", "empty", "make room", amber=[], red=None).level == "green"

"""The cure for a misspelt name."""

from cifake_ray.errors import Interrupted, nearest


def test_a_misspelt_name_is_answered_with_the_one_that_was_meant() -> None:
    assert nearest("batchsize", ["lr", "batch_size"]) == "did you mean batch_size?"


def test_a_name_like_no_other_is_answered_with_all_that_are_valid() -> None:
    assert nearest("xyz", ["lr", "batch_size"]) == "valid keys: lr, batch_size"


def test_a_library_that_catches_exceptions_does_not_catch_an_interruption() -> None:
    assert not issubclass(Interrupted, Exception)

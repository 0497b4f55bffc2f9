import pytest

from cifake_ray.data.labels import label_of, part_of
from cifake_ray.data.sources.reading import PLAIN, Reading
from cifake_ray.errors import InputError


@pytest.mark.parametrize(
    "name",
    [
        "FAKE",
        "fake",
        "1_fake",
        "AI",
        "ai-generated",
        "AI_generated images",
        "Synthetic",
        "fakeimages",
        "FAKEimages",
        "DeepFakes",
        "AIgenerated",
    ],
)
def test_names_that_say_fake_are_0(name: str) -> None:
    assert label_of(name) == 0


@pytest.mark.parametrize(
    "name", ["REAL", "real images", "0_real", "Nature", "authentic", "realimages", "REALimages", "nonai"]
)
def test_names_that_say_real_are_1(name: str) -> None:
    assert label_of(name) == 1


@pytest.mark.parametrize("name", ["0", "1", "cat", "real_vs_fake", "unreal", "train", "", "photo", "aircraft"])
def test_names_that_could_mean_anything_are_neither(name: str) -> None:
    assert label_of(name) is None


def test_a_part_beside_a_class_word_is_a_part() -> None:
    assert [part_of(name) for name in ("real_train", "fake_test", "AI_val", "face_data")] == [
        "train", "test", "validation", None
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("parts", "name", "part"),
    [
        ((("dev", "train"), ("val", "test")), "val", "test"),
        ((("test", "validation"), ("testing", "test")), "testing", "test"),
        ((("eval", "train"),), "val", "train"),
    ],
)
def test_a_part_named_by_its_own_key_outweighs_a_synonym(
    parts: tuple[tuple[str, str], ...], name: str, part: str
) -> None:
    assert Reading(parts=parts).part(name) == part


def test_folders_that_contradict_each_other_are_refused() -> None:
    assert PLAIN.label(("cats", "REAL", "nature"), "here") == 1
    with pytest.raises(InputError, match="here: ai/real names both classes"):
        PLAIN.label(("ai", "real"), "here")

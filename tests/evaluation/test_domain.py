"""One score against the validation images: their like is inside, pictures of another size or texture are outside."""

import json

import numpy as np
import pytest

from cifake_ray.data import load_images, split_train
from cifake_ray.detector.domain import NEEDED, count_domain, describe_domain, judge_domain, properties
from cifake_ray.runs.records import Domain


@pytest.fixture
def images() -> tuple[np.ndarray, np.ndarray]:
    """Validation and test images of the sample."""
    found = load_images("sample")
    rows = split_train(found.train, 0.2, 0).validation
    return np.asarray(found.train.images[rows]), np.asarray(found.test.images)


def outside(domain: Domain, pixels: np.ndarray, size: tuple[int, int] = (32, 32)) -> float:
    judged = judge_domain(domain, pixels, [size] * len(pixels))
    return float(np.mean([one.domain == "outside" for one in judged]))


def test_one_in_a_hundred_validation_images_and_as_many_others_alike_are_outside(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    validation, test = images
    domain = Domain.parse(json.loads(json.dumps(describe_domain(properties(validation), (32, 32)).as_json())))
    assert outside(domain, validation) <= 0.011
    assert outside(domain, test) < 0.05


def test_pictures_of_another_size_or_texture_are_outside_with_the_reason(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    validation, test = images
    domain = describe_domain(properties(validation), (32, 32))
    assert outside(domain, test, (300, 300)) == 1
    noise = np.random.default_rng(0).integers(0, 256, test.shape, dtype=np.uint8)
    flat = np.full_like(test, 90)
    for strange in (noise, flat):
        assert outside(domain, strange) > 0.9
    (judged,) = judge_domain(domain, test[:1], [(512, 600)])
    assert judged.reason == "512 x 600 px; the model knows images of 32 px"
    assert judge_domain(domain, flat[:1], [(32, 32)])[0].reason is not None


def test_a_size_that_varied_does_not_count(images: tuple[np.ndarray, np.ndarray]) -> None:
    validation, test = images
    assert outside(describe_domain(properties(validation), None), test, (300, 300)) < 0.05


def test_without_statistics_nothing_is_known() -> None:
    (judged,) = judge_domain(None, np.zeros((1, 32, 32, 3), np.uint8), [(32, 32)])
    assert (judged.domain, judged.score, judged.reason) == ("unknown", None, None)


def test_properties_are_numbers_for_images_without_any_detail() -> None:
    black_and_white = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)])
    assert np.isfinite(properties(black_and_white)).all()


def test_too_few_validation_images_tell_nothing_and_say_how_many_are_needed(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    validation, test = images
    assert NEEDED == 100
    for few in (1, 3, 99):
        judged = judge_domain(describe_domain(properties(validation[:few]), (32, 32)), test, [(32, 32)] * len(test))
        assert {one.domain for one in judged} == {"unknown"}
        assert judged[0].score is None
        assert judged[0].reason is not None
        assert f"{few} validation images, and 100 are needed" in judged[0].reason
    enough = describe_domain(properties(validation[:100]), (32, 32))
    assert judge_domain(enough, test[:1], [(32, 32)])[0].domain != "unknown"


def test_counts_are_those_of_each_picture_judged_alone(images: tuple[np.ndarray, np.ndarray]) -> None:
    validation, _ = images
    domain, many = describe_domain(properties(validation), (32, 32)), np.concatenate([validation] * 4)
    assert len(many) > 1024
    counted = count_domain(judge_domain(domain, many, [(32, 32)] * len(many)))
    judged = judge_domain(domain, many, [(32, 32)] * len(many))
    assert counted.outside == sum(one.domain == "outside" for one in judged)
    assert counted.inside + counted.outside == len(many)
    strange = count_domain(judge_domain(domain, validation, [(300, 200)] * len(validation)))
    assert strange.reason == "300 x 200 px; the model knows images of 32 px"
    assert count_domain(judge_domain(None, validation[:2], [(32, 32)] * 2)).as_json() == {
        "inside": 0, "outside": 0, "unknown": 2, "reason": None
    }  # fmt: skip


@pytest.mark.parametrize("side", [1, 2, 3, 33, 225])
def test_squares_of_any_side_have_properties(side: int) -> None:
    values = properties(np.random.default_rng(0).integers(0, 256, (3, side, side, 3), dtype=np.uint8))
    assert np.isfinite(values).all()

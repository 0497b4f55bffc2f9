import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.data.datasets.sample import build_sample

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def arrays() -> Arrays:
    return build_sample()


def test_sample_is_the_same_everywhere_balanced_and_says_that_it_is_generated(arrays: Arrays) -> None:
    sample = load_images("sample")
    assert np.array_equal(arrays["train_images"], sample.train.images)
    assert np.array_equal(arrays["test_images"], sample.test.images)
    assert sample.fingerprint.startswith("5da99beefb0d4832a403")
    assert np.bincount(sample.train.labels).tolist() == [1000, 1000]
    assert np.bincount(sample.test.labels).tolist() == [250, 250]
    assert sample.card.generated
    assert "synthetic sample; results say nothing about CIFAKE" in sample.summary()


def test_no_generated_image_is_a_copy_of_another(arrays: Arrays) -> None:
    everything = np.concatenate([arrays["train_images"], arrays["test_images"]]).reshape(2500, -1)
    assert len(np.unique(everything, axis=0)) == 2500


def test_fake_has_a_trace_at_the_highest_frequency(arrays: Arrays) -> None:
    grey = arrays["train_images"].mean(-1)
    alternating = np.where(np.arange(32) % 2, -1, 1)
    trace = np.abs((grey * alternating).mean((1, 2)))
    assert trace[:1000].mean() > 4 * trace[1000:].mean()

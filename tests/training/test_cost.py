"""What a network costs: counted and timed without any effect on its training."""

from itertools import accumulate

import pytest
import torch

from cifake_ray.experiment import Training
from cifake_ray.experiment.families.cnn import CnnModel
from cifake_ray.models.families.cnn import normalise_images
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.cost import inference_ms, measure_cost
from cifake_ray.training.fit import Fit


def work_of(**model: int) -> Fit:
    torch.manual_seed(0)
    images = torch.randint(0, 256, (64, 32, 32, 3), dtype=torch.uint8)
    labels, rows = torch.arange(64).remainder(2).float(), torch.arange(64)
    data = TrainingSet(ImageInputs(images), labels, rows[:32], rows[32:], normalise_images)
    chosen = CnnModel.model_validate(model)
    return Fit(family_of(chosen).build(chosen), data, Training(precision="fp32"))


def test_parameters_are_those_that_are_trained() -> None:
    work = work_of(head_width=8)
    everything = measure_cost(work, "parameters")["parameters"]
    next(work.network.parameters()).requires_grad_(False)
    assert measure_cost(work, "parameters")["parameters"] == everything - next(work.network.parameters()).numel()


def test_the_time_of_an_image_is_the_median_batchs_share_in_milliseconds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches hold 32 images; the first three warm up, and one that something else held up does not count."""
    batches = [9.0, 9.0, 9.0, 5.0, *[0.064] * 19]
    clock = iter([0.0, *accumulate(value for seconds in batches for value in (seconds, 0.0))])
    monkeypatch.setattr("cifake_ray.training.cost.time.perf_counter", lambda: next(clock))
    assert inference_ms(work_of(channels=2, head_width=2)) == pytest.approx(2.0)


def test_measuring_leaves_threads_weights_and_random_numbers_as_they_were() -> None:
    work = work_of(channels=4, head_width=4)
    torch.set_num_threads(2)
    weights = {name: value.clone() for name, value in work.network.state_dict().items()}
    state = torch.random.get_rng_state()
    inference_ms(work)
    assert torch.get_num_threads() == 2
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, weights[name]) for name, value in work.network.state_dict().items())
    torch.set_num_threads(1)


def test_only_the_objective_asked_for_is_measured() -> None:
    work = work_of(channels=4, head_width=4)
    assert measure_cost(work, None) == {}
    assert measure_cost(work, "parameters") == {"parameters": count_parameters(work.network)}
    assert list(measure_cost(work, "inference_ms")) == ["inference_ms"]

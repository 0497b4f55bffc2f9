"""Learning rates over the epochs, and the moving average of the weights."""

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from cifake_ray.experiment import Training
from cifake_ray.training.optimizer import average_weights, build_optimizer, learning_rate


def weights_after_steps(network: nn.Linear, optimizer: torch.optim.Optimizer) -> torch.Tensor:
    for step in range(5):
        optimizer.zero_grad()
        network(torch.full((2, 5), float(step))).square().sum().backward()
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
    return network.weight.detach()


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        ("adam", torch.optim.Adam, {}),
        ("adamw", torch.optim.AdamW, {}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_an_optimiser_steps_as_torchs_own_does(name: Any, kind: Any, more: dict[str, Any]) -> None:
    torch.manual_seed(0)
    mine, theirs = nn.Linear(5, 3), nn.Linear(5, 3)
    theirs.load_state_dict(mine.state_dict())
    optimizer = build_optimizer(mine, Training(optimizer=name, lr=0.01, weight_decay=0.1))
    reference = kind(theirs.parameters(), lr=0.01, weight_decay=0.1, fused=True, **more)
    assert torch.equal(weights_after_steps(mine, optimizer), weights_after_steps(theirs, reference))


def test_training_does_not_load_torchs_compiler() -> None:
    """It takes 4 s of a core in every process."""
    program = """
import sys, torch
from cifake_ray.experiment import Training
from cifake_ray.training.optimizer import build_optimizer
network = torch.nn.Linear(2, 1)
optimizer = build_optimizer(network, Training())
optimizer.zero_grad()
network(torch.ones(1, 2)).sum().backward()
optimizer.step()
optimizer.load_state_dict(optimizer.state_dict())
sys.exit("torch._dynamo" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def rates(**training: object) -> list[float]:
    settings = Training.model_validate({"epochs": 10, "lr": 0.1, **training})
    return [learning_rate(settings, epoch) for epoch in (0, 1, 2, 6, 10)]


def test_cosine_and_linear_fall_from_lr_to_zero_and_constant_stays() -> None:
    assert rates() == pytest.approx([0.1, 0.09755, 0.09045, 0.03455, 0.0], abs=1e-5)
    assert rates(lr_schedule="linear") == pytest.approx([0.1, 0.09, 0.08, 0.04, 0.0])
    assert rates(lr_schedule="constant") == [0.1] * 5


def test_warmup_rises_to_lr_over_its_share_of_the_epochs() -> None:
    assert rates(lr_schedule="linear", warmup=0.2) == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0])
    assert rates(lr_schedule="constant", warmup=0.2) == pytest.approx([0.0, 0.05, 0.1, 0.1, 0.1])
    assert rates(warmup=0.2) == pytest.approx([0.0, 0.05, 0.1, 0.05, 0.0])


def test_the_average_follows_slowly_and_forgets_the_first_weights() -> None:
    network = nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1))
    average = average_weights(network, Training(ema=0.9))
    assert average is not None
    seen = []
    for value in (100.0, *[1.0] * 60):
        with torch.no_grad():
            network[0].weight.fill_(value)
            network[1].running_mean.fill_(value)
        average.update_parameters(network)
        seen.append(average.module[0].weight.item())
    assert seen[0] == 100
    assert 1 < seen[1] < 100
    assert seen[-1] == pytest.approx(1.0, abs=0.1)
    assert average.module[1].running_mean.item() == pytest.approx(seen[-1])
    assert average_weights(network, Training()) is None

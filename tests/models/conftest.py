"""Small stand-ins for backbone weight files: random initialisation of torchvision's networks and of timm's."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torchvision.models import ResNet, resnet50

from cifake_ray.models.weights import expected_shapes

SaveWeights = Callable[..., Path]


@pytest.fixture(scope="session")
def full_network() -> ResNet:
    """torchvision's resnet50 in eval mode, its batch norm statistics set so that ignoring them is noticed."""
    torch.manual_seed(1)
    network = resnet50()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


@pytest.fixture
def save_weights(full_network: ResNet) -> SaveWeights:
    """save_weights(path, *stages): that network's tensors of these stages, as .safetensors or .pth."""

    def save(path: Path, *stages: str) -> Path:
        state = full_network.state_dict()
        tensors = {name: state[name].clone() for stage in stages for name in expected_shapes("resnet50", stage)}
        save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
        return path

    return save


@pytest.fixture
def save_network(tmp_path: Path) -> SaveWeights:
    """save_network(name, file, **changes): the tensors of timm's network with random weights; None leaves one out."""
    timm = pytest.importorskip("timm")

    def save(name: str, file: str = "weights.safetensors", **changes: torch.Tensor | None) -> Path:
        torch.manual_seed(3)
        state = timm.create_model(name).state_dict()
        named = {key.replace("__", "."): value for key, value in changes.items()}
        tensors = {key: value for key, value in (state | named).items() if value is not None}
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)
        return path

    return save

"""Files of small timm networks with random weights."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

SaveNetwork = Callable[..., Path]


@pytest.fixture
def save_network(tmp_path: Path) -> SaveNetwork:
    """save_network(name, file, **changes): the tensors of timm's network, `changes` by their names; None leaves out."""
    from safetensors.torch import save_file

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

"""One place that turns the `model` section of an experiment into a network."""

import math
from collections.abc import Sequence

from torch import nn

from cifake_ray.experiment import STAGES, CnnModel, Model, ResNet50Model
from cifake_ray.models.cnn import Cnn
from cifake_ray.models.head import Head
from cifake_ray.models.weights import expected_shapes


def build_network(model: Model, inputs: int = 0) -> nn.Module:
    """The network that is trained: a CNN on images, or a head on `inputs` frozen features."""
    match model:
        case CnnModel():
            return Cnn(model.channels, model.head_width, model.dropout)
        case ResNet50Model():
            return Head(inputs, model.head_width, model.dropout)


def count_parameters(module: nn.Module) -> int:
    """Weights and biases; running statistics are not counted."""
    return sum(parameter.numel() for parameter in module.parameters())


def backbone_parameters(stages: Sequence[str]) -> int:
    """Parameters of the frozen ResNet50 up to the last of `stages`, as torchvision counts them."""
    kept = STAGES[: max(map(STAGES.index, stages)) + 1]
    shapes = {name: shape for stage in kept for name, shape in expected_shapes(stage).items()}
    return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name)

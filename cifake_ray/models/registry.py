"""One place that turns the `model` section of an experiment into a network."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from cifake_ray.experiment import STAGES, CnnDeepModel, CnnModel, Model, ResNet50Model
from cifake_ray.models.cnn import Cnn, CnnDeep, normalise_images
from cifake_ray.models.head import Head
from cifake_ray.models.weights import expected_shapes


def build_network(model: Model, inputs: int = 0) -> nn.Module:
    """The network that is trained: a CNN on images, or a head on `inputs` frozen features."""
    match model:
        case CnnModel():
            size = (model.kernel_size, model.pool, model.image_size)
            return Cnn(model.channels, model.head_width, model.dropout, *size)
        case CnnDeepModel():
            return CnnDeep(model.channels, model.head_width, model.dropout, model.pool, model.image_size)
        case ResNet50Model():
            return Head(inputs, model.head_width, model.dropout)


def preparation(model: Model) -> Callable[[Tensor], Tensor]:
    """What turns a batch of inputs (uint8 images or float16 features) into what the model's network takes."""
    return _as_float if model.frozen else partial(normalise_images, image_size=model.image_size)


def _as_float(features: Tensor) -> Tensor:
    return features.float()


def count_parameters(module: nn.Module) -> int:
    """Weights and biases; running statistics are not counted."""
    return sum(parameter.numel() for parameter in module.parameters())


def backbone_parameters(stages: Sequence[str]) -> int:
    """Parameters of the frozen ResNet50 up to the last of `stages`, as torchvision counts them."""
    kept = STAGES[: max(map(STAGES.index, stages)) + 1]
    shapes = {name: shape for stage in kept for name, shape in expected_shapes(stage).items()}
    return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name)

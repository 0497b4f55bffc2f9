"""One place that turns the `model` section of an experiment into a network."""

import math
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from cifake_ray.experiment import BackboneModel, CnnDeepModel, CnnModel, Model, deepest, taps_of, up_to
from cifake_ray.models.families.cnn import Cnn, CnnDeep, normalise_images
from cifake_ray.models.head import Head
from cifake_ray.models.pooling import pooled_width
from cifake_ray.models.weights import Weights, expected_shapes, resolve_weights


def build_network(model: Model, weights: Weights | None = None) -> nn.Module:
    """The network that is trained: a CNN or a fine-tuned backbone on images, or a head on frozen features.

    `weights`: what a fine-tuned backbone starts from; without them its blocks are empty, for a checkpoint to fill.
    Raises InputError as `build_blocks` does.
    """
    match model:
        case CnnModel():
            return Cnn(**model.model_dump(exclude={"kind", "views"}))
        case CnnDeepModel():
            return CnnDeep(**model.model_dump(exclude={"kind", "views"}))
        case BackboneModel():
            head = Head(feature_width(model), model.head_width, model.dropout)
            return head if model.frozen else _fine_tuned(model, head, weights)


def _fine_tuned(model: BackboneModel, head: Head, weights: Weights | None) -> nn.Module:
    from cifake_ray.models.backbone import build_blocks, empty_blocks
    from cifake_ray.models.finetune import FineTuned

    last, taps = deepest(model.kind, model.stages), taps_of(model.kind)
    blocks = empty_blocks(model.kind, model.stages) if weights is None else build_blocks(weights, last)
    trainable = [name for name in blocks if model.trainable == "all" or taps[name].stage == taps[last].stage]
    return FineTuned(blocks, model.columns, head, trainable=trainable, lr_factor=model.backbone_lr_factor)


def starting_weights(model: Model) -> Weights | None:
    """What a fine-tuned backbone starts from; None for other models. Raises InputError as `resolve_weights` does."""
    if not isinstance(model, BackboneModel) or model.frozen:
        return None
    return resolve_weights(model.kind, model.weights, model.stages)


def preparation(model: Model) -> Callable[[Tensor], Tensor]:
    """What turns a batch of inputs (uint8 images or float16 features) into what the model's network takes."""
    if not isinstance(model, BackboneModel):
        return partial(normalise_images, image_size=model.image_size)
    if model.frozen:
        return _as_float
    from cifake_ray.models.backbone import normalise_imagenet

    return partial(normalise_imagenet, image_size=model.sizes[0])


def _as_float(features: Tensor) -> Tensor:
    return features.float()


def feature_width(model: BackboneModel) -> int:
    """Features of one image that the head takes."""
    return len(model.sizes) * sum(column_width(model.kind, column) for column in model.columns)


def column_width(kind: str, column: str) -> int:
    """Features of one `stage.statistic`."""
    stage, _, statistic = column.rpartition(".")
    return pooled_width(statistic, taps_of(kind)[stage].channels)


def count_parameters(module: nn.Module, *, trained: bool = False) -> int:
    """Weights and biases, on demand only those that are trained; running statistics are not counted."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad or not trained)


def backbone_parameters(model: BackboneModel) -> int:
    """Parameters of the backbone up to the last block used, as torchvision counts them."""
    shapes = expected_shapes(model.kind, *up_to(model.kind, deepest(model.kind, model.stages)))
    return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name)

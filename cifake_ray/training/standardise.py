"""The scale of a head's inputs, from the images that it is trained on."""

from torch import nn

from cifake_ray.models.finetune import FineTuned
from cifake_ray.models.head import Head
from cifake_ray.training.batches import TrainingSet
from cifake_ray.training.fit import sample_rows

_ROWS = 4000  # of cached features: with 11,520 of them 180 MB
_IMAGES = 500  # through a backbone


def standardise(network: nn.Module, data: TrainingSet) -> None:
    """Let a head standardise its features by those of a sample of the train rows, seen as they are."""
    if not isinstance(network, Head | FineTuned):
        return
    rows = sample_rows(data.train)[: _ROWS if isinstance(network, Head) else _IMAGES]
    seen = next(data.inputs.views(rows))
    network.to(data.inputs.device).standardise_by(data.prepare(seen))

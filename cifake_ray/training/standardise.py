"""The scale of a head's inputs, from the images that the head is trained on."""

from torch import nn

from cifake_ray.models.network import StandardisesInputs
from cifake_ray.training.batches import TrainingSet
from cifake_ray.training.fit import sample_rows


def standardise(network: nn.Module, data: TrainingSet) -> None:
    """Let a network that scales its inputs take the scale from a sample of the train rows, seen as they are."""
    if not isinstance(network, StandardisesInputs):
        return
    rows = sample_rows(data.train)[: network.sample_rows]
    seen = next(data.inputs.views(rows))
    network.to(data.inputs.device)
    network.standardise_by(data.prepare(seen))

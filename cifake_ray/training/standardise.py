"""The scale of a head's inputs, from the images that the head is trained on."""

from torch import nn

from cifake_ray.models.network import StandardisesInputs
from cifake_ray.training.batches import TrainingSet
from cifake_ray.training.validation import sample_rows

_FEWEST = 32  # rows from which a deviation is taken


def standardise(network: nn.Module, data: TrainingSet) -> None:
    """Set the scale of a network that scales its inputs from a sample of the train rows, without augmentation."""
    if not isinstance(network, StandardisesInputs):
        return
    most = max(4 * data.inputs.at_once, _FEWEST)  # fewer of large images, which are in memory at once
    rows = sample_rows(data.train)[: min(network.sample_rows, most)]
    seen = next(data.inputs.views(rows))
    network.to(data.inputs.device)
    network.standardise_by(data.prepare(seen))

"""Interface of a family of models to the rest of the program."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from torch import Tensor, nn

from cifake_ray.console import Progress
from cifake_ray.experiment import Experiment, ModelSettings
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.weight_files import Weights
from cifake_ray.runs.records import BackboneNote

S = TypeVar("S", bound=ModelSettings)
Prepare = Callable[[Tensor], Tensor]


class Family(ABC, Generic[S]):
    """How models of one family are built, fed and saved. The defaults are those of networks trained from scratch.

    A network with `standardise_by` receives a sample of the train rows before its first step. A network with
    `parameter_groups` sets the learning rates of its parts (`models/network.py`).
    """

    @abstractmethod
    def build(self, model: S, weights: Sequence[Weights] = ()) -> nn.Module:
        """The network that is trained; without `weights` pretrained parts hold no values, for a checkpoint to fill."""

    @abstractmethod
    def prepare(self, model: S) -> Prepare:
        """The function from a batch of inputs (uint8 images or float16 features) to the network's input."""

    def check(self, model: S) -> None:
        """Try the network once, before the first trial. Raises InputError when it cannot be used."""

    def start(self, model: S) -> nn.Module:
        """The network before its first step. Raises InputError as `weights` does."""
        return self.build(model, () if model.takes_features else self.weights(model))

    def weights(self, model: S) -> tuple[Weights, ...]:  # noqa: ARG002
        """The pretrained weights of the model. Raises InputError for a missing, damaged or foreign file."""
        return ()

    def searched_weights(self, experiment: Experiment, progress: Progress | None = None) -> list[Weights]:  # noqa: ARG002
        """Every set of weights that a trial may start from, the baseline's first. Raises InputError."""
        return []

    def absent_weights(self, experiment: Experiment) -> list[str]:  # noqa: ARG002
        """The names of weights that would have to be downloaded. Raises InputError for files that cannot be used."""
        return []

    def passes(self, experiment: Experiment, progress: Progress | None = None) -> list[FeatureSpec]:  # noqa: ARG002
        """Every pass whose features a trial may take, the baseline's first; [] for networks that take images.

        `progress`: bytes done and in all, should weights be downloaded. Raises InputError for unusable weights, and
        for too many passes.
        """
        return []

    def passes_of(self, model: S, weights: Sequence[Weights], look: str) -> list[FeatureSpec]:  # noqa: ARG002
        """The passes that a trained model needs for a look, in the order of the head's inputs."""
        return []

    def width(self, model: S) -> int:  # noqa: ARG002
        """Cached features of one image and view that the network takes; 0 for images."""
        return 0

    def frozen_parameters(self, model: S) -> int:  # noqa: ARG002
        """Parameters of the frozen backbones before the network, up to the last block used."""
        return 0

    def describe(self, model: S, weights: Sequence[Weights]) -> list[BackboneNote]:  # noqa: ARG002
        """The pretrained parts for model.json, one for each of the weights."""
        return []

    def noted_weights(self, model: S, notes: Sequence[BackboneNote]) -> tuple[Weights, ...]:  # noqa: ARG002
        """The weights of a stored model, as recorded by `describe`. Raises InputError when missing or different."""
        return self.weights(model)

"""Properties of the settings of every family, so that no other module compares kinds of models."""

from typing import NamedTuple

from cifake_ray.experiment.values import Strict


class PassKey(NamedTuple):
    """One pass of a frozen backbone, as a trial requests it; `weights` are named as in the experiment."""

    kind: str
    weights: str
    image_size: int
    view: str


class ModelSettings(Strict):
    """The `model` section of one family; the answers here are those of a network trained from scratch on images.

    Every family has the keys `kind`, `image_size` and `views` too.
    """

    kind: str

    @property
    def label(self) -> str:
        """What a table calls the model."""
        return self.kind

    @property
    def takes_features(self) -> bool:
        """Whether the network that is trained takes cached features instead of images."""
        return False

    @property
    def weight_names(self) -> tuple[str, ...]:
        """Names or files of the pretrained weights that the model starts from."""
        return ()

    @property
    def weights_label(self) -> str:
        """What a table calls the pretrained weights."""
        return "+".join(self.weight_names) or "none"

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys that the inputs of the network depend on; trials that agree in them share one training set."""
        return ("image_size", "views")

    def reads(self, view: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:  # noqa: ARG002
        """The passes whose features the network takes of a view, in order, and the columns of each."""
        return ()

"""Properties of the settings of every family, so that no other module compares kinds of models."""

from typing import TYPE_CHECKING, NamedTuple, Self

from cifake_ray.experiment.own_file import OwnFile
from cifake_ray.experiment.values import Strict
from cifake_ray.fits import TILES, Fit

if TYPE_CHECKING:
    from cifake_ray.experiment.families.backbone import BackboneSettings


class PassKey(NamedTuple):
    """One pass of a frozen backbone, as a trial requests it; `weights` are named as in the experiment.

    `kind`: the network, `resnet50` or `timm/vit_tiny_patch16_224`.
    `side`: of the square that `fit` makes of a picture, from which the input of `image_size` pixels is made.
    """

    kind: str
    weights: str
    image_size: int
    view: str
    fit: Fit = "resize"
    side: int = 0


class ModelSettings(Strict):
    """The `model` section of one family; the defaults here are of a network trained from scratch on images.

    Every family has the keys `image_size` (pixels of the network's input) and `views` too.
    `fit`: how a picture becomes a square of `image_size` pixels (`data.transform`): the whole of it (`resize`), its
    centre (`crop`; `repeat` where smaller pictures are laid side by side), or centre and corners (`tiles`).
    """

    kind: str
    fit: Fit = "resize"

    @property
    def sizes(self) -> tuple[int, ...]:
        """Pixels of the network's inputs: one size, or several of a frozen backbone."""
        return (int(self.image_size),)  # type: ignore[attr-defined]  # a key of every family

    @property
    def largest_size(self) -> int:
        """Pixels of the square that a picture is brought to; smaller inputs are made from the square."""
        return max(self.sizes)

    @property
    def label(self) -> str:
        """The name of the model in tables."""
        return self.kind

    @property
    def looks(self) -> tuple[str, ...]:
        """The looks that an answer is averaged over: each view, of each tile where there are tiles (`tile0/flip`)."""
        views: tuple[str, ...] = self.views  # type: ignore[attr-defined]  # a key of every family
        if self.fit != "tiles":
            return views
        return tuple(f"tile{number}/{view}" for number in range(TILES) for view in views)

    @property
    def copy_looks(self) -> tuple[str, ...]:
        """The looks of augmented copies, which training draws from beside `looks`: `copy1/flip`, one for each copy."""
        return ()

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
        """The name of the pretrained weights in tables."""
        return "+".join(self.weight_names) or "none"

    @property
    def own_file_path(self) -> str:
        """Path, as given, of the user's Python file that defines the network; empty for networks of this package."""
        return ""

    @property
    def own_file_sha256(self) -> str | None:
        """SHA-256 (hex) that the settings note of that file."""
        return None

    @property
    def own_file(self) -> OwnFile | None:
        """The user's Python file; None before `with_file`, and for networks of this package."""
        return None

    def with_file(self, file: OwnFile) -> Self:  # noqa: ARG002
        """These settings with the file that `own_file_path` names."""
        return self

    @property
    def backbones_by_path(self) -> "tuple[tuple[str, BackboneSettings], ...]":
        """The pretrained networks of the model, each with what stands before its keys: `backbones.0.`, or nothing."""
        return ()

    @property
    def packages(self) -> tuple[str, ...]:
        """The Python packages of an extra that the model's features or answers follow from."""
        return ()

    @property
    def missing_extra(self) -> str:
        """The extra of this program without which the model cannot be built here; empty where nothing is missing."""
        return ""

    @property
    def input_keys(self) -> tuple[str, ...]:
        """The keys that the inputs of the network depend on; trials with equal values share one training set."""
        return ("image_size", "fit", "views")

    def reads(self, look: str) -> tuple[tuple[PassKey, tuple[str, ...]], ...]:  # noqa: ARG002
        """The passes whose features the network takes for a look, in order, and the columns of each."""
        return ()

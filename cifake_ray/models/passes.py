"""One pass of a frozen backbone over a set of images: the cached features that the pass computes."""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from cifake_ray.experiment import Fit, PassKey, Training
from cifake_ray.models.backbone import FrozenBackbone
from cifake_ray.models.weight_files import Weights


@dataclass(frozen=True)
class FeatureSpec(ABC):
    """One backbone pass: these weights, a look at the pictures resized to `image_size` pixels, cut after `last_stage`.

    `fit`, `side`: the square that a picture is first brought to. `view`: the look, a view or a view of a tile.
    `recipe`: of a pass over augmented copies of train pictures (`view` is `copy1/flip`), what the copies follow from.
    `asked`: the experiment's name of the weights, which may be a path. `taken`: `stage.statistic` that heads take;
    a pass may compute more, for the next study.
    """

    weights: Weights
    image_size: int
    last_stage: str
    asked: str = ""
    view: str = "identity"
    taken: tuple[str, ...] = ()
    fit: Fit = "resize"
    side: int = 0
    recipe: Training | None = None

    @property
    def key(self) -> PassKey:
        """The key by which a trial finds the features of the pass."""
        return PassKey(
            self.weights.kind, self.asked or self.weights.name, self.image_size, self.view, self.fit, self.side
        )

    @property
    def copied(self) -> bool:
        """Whether the pass is over augmented copies of the train pictures."""
        return self.recipe is not None

    @property
    def identity(self) -> str:
        """What the values of the pass follow from besides pictures, size and look: part of the key in the cache."""
        return self.weights.sha256

    @property
    def network(self) -> Hashable:
        """What the built network follows from: passes of one network share it."""
        return self.weights

    @property
    @abstractmethod
    def columns(self) -> tuple[str, ...]:
        """Every `stage.statistic` of the pass."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Features of one image in all columns."""

    @abstractmethod
    def build(self, columns: Sequence[str]) -> FrozenBackbone:
        """The frozen network as far as these columns need. Raises InputError when its weights' file is damaged."""


def joined_passes(specs: Iterable[FeatureSpec]) -> list[FeatureSpec]:
    """The passes, with passes of one key merged into one pass that takes the columns of all."""
    found: dict[PassKey, FeatureSpec] = {}
    for spec in specs:
        first = found.setdefault(spec.key, spec)
        if not {*spec.columns} <= {*first.columns}:
            found[spec.key] = replace(first, taken=tuple(dict.fromkeys([*first.taken, *spec.columns])))
    return list(found.values())

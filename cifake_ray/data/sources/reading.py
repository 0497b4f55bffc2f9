"""How a source is to be read, beyond its place: class words, parts, a test part to be drawn, the card."""

import dataclasses
import fnmatch
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifake_ray.data.datasets import CARDS
from cifake_ray.data.datasets.card import Card
from cifake_ray.data.labels import labels_in, part_in, part_of
from cifake_ray.data.neutral import NeutralEncoding, neutral_encoding
from cifake_ray.errors import InputError, nearest

if TYPE_CHECKING:
    from cifake_ray.experiment import Data

AUTO = "auto"


@dataclass(frozen=True)
class Reading:
    """`fake`, `real`: patterns of class names. `parts`: name of a folder or file, part. `test_fraction` of the train
    part is drawn as the test part by `split_seed`. `card`: name of the card that knows the labels, or `auto`.
    `neutral`: encoding applied to the pictures; not in the `key`, because the source is read alike.
    `held`: pixels a side to which pictures of any size are resized, as version 0.1 did; None keeps the sizes, unless
    nearly all pictures are small squares of one size. `packed`: keep every size then too.
    """

    fake: tuple[str, ...] = ()
    real: tuple[str, ...] = ()
    parts: tuple[tuple[str, str], ...] = ()
    test_fraction: float | None = None
    split_seed: int = 0
    card: str = AUTO
    neutral: NeutralEncoding | None = None
    held: int | None = None
    packed: bool = False

    @property
    def key(self) -> str:
        """Part of a cache entry's key; empty where every value is the default."""
        seed = self.split_seed if self.test_fraction is not None else 0
        said = dataclasses.replace(self, split_seed=seed, neutral=None)
        unsaid = {"neutral", *(name for name in ("held", "packed") if not getattr(self, name))}
        told = {name: value for name, value in dataclasses.asdict(said).items() if name not in unsaid}
        return "" if said == Reading() else json.dumps(told)

    def without_test(self) -> "Reading":
        """The same words, parts and card, and no test part to be drawn: for a set that is scored as it is."""
        return dataclasses.replace(self, test_fraction=None)

    def named_card(self) -> Card | None:
        """The card that the user names. Raises InputError (`data.card`) for an unknown one."""
        if self.card == AUTO:
            return None
        if self.card not in CARDS:
            raise InputError(f"data.card: no card {self.card}", nearest(self.card, list(CARDS)))
        return CARDS[self.card]

    def own_label(self, name: str) -> int | None:
        """The label that `data.labels` gives this name: 0 FAKE, 1 REAL; None where no pattern fits."""
        plain = name.strip().casefold()
        fits = [any(fnmatch.fnmatchcase(plain, one) for one in patterns) for patterns in (self.fake, self.real)]
        if all(fits):
            raise InputError(f"data.labels: {name} fits a pattern of fake and one of real", "narrow one of them")
        return fits.index(True) if any(fits) else None

    def label(self, folders: Sequence[str], where: str) -> int | None:
        """The label that names of nested folders give. Raises InputError when they contradict each other."""
        own = {label for folder in folders if (label := self.own_label(folder)) is not None}
        found = own or labels_in(folders)
        if len(found) > 1:
            raise InputError(
                f"{where}: {'/'.join(folders)} names both classes",
                "rename one of its folders, or say which words name a "
                "class by data.labels: {fake: [FAKE], real: [REAL]}",
            )
        return found.pop() if found else None

    def names_class(self, folder: str) -> bool:
        """Whether this one folder name is a class name."""
        return self.own_label(folder) is not None or bool(labels_in([folder]))

    def part(self, name: str) -> str | None:
        """The part of a folder of this name."""
        return self._mapped(name, part_of(name))

    def part_in(self, stem: str) -> str | None:
        """The part of a file of this name, without its suffix and number."""
        return self._mapped(stem, part_in(stem))

    def _mapped(self, name: str, told: str | None) -> str | None:
        """The part that `data.parts` gives a name: by the name itself, else by a synonym of a key, else as `told`."""
        plain = name.strip().casefold()
        named = [part for key, part in self.parts if fnmatch.fnmatchcase(plain, key)]
        alike = [part for key, part in self.parts if told is not None and part_of(key) == told]
        return next(iter([*named, *alike]), told)


PLAIN = Reading()


def reading_from(settings: Sequence[str]) -> Reading:
    """The reading by `--set data.KEY=VALUE` of a source that no experiment names. Raises InputError as an experiment.

    Keys that only divide the images into parts have no effect on a set that is not divided.
    """
    from cifake_ray.experiment import override, validate_experiment

    tree = override({}, settings)
    if others := [key for key in tree if key != "data"]:
        raise InputError(f"--set {others[0]}: only keys of data count here", "as data.labels={fake: [sdxl]}")
    return reading_of(validate_experiment({"name": "source", "model": {"kind": "cnn"}, **tree}, "--set").data)


def reading_of(data: "Data") -> Reading:
    """The reading described by the `data` section of an experiment. Raises InputError for an unknown card."""
    labels = data.labels
    fake, real = (labels.fake, labels.real) if labels is not None else ((), ())
    reading = Reading(
        fake=tuple(pattern.strip().casefold() for pattern in fake),
        real=tuple(pattern.strip().casefold() for pattern in real),
        parts=tuple(sorted((name.strip().casefold(), part) for name, part in data.parts.items())),
        test_fraction=data.test_fraction,
        split_seed=data.split_seed,
        card=data.card,
        neutral=neutral_encoding(data.neutral, data.split_seed),
    )
    reading.named_card()
    return reading


def neutral_name(reading: Reading) -> str:
    """The name of the encoding that pictures are brought to; "" where they stay as delivered."""
    return reading.neutral.name if reading.neutral else ""

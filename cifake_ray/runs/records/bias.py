"""The bias check: what a model reaches that sees no pixel."""

from cifake_ray.runs.records.base import Record

NAMED = 0.55  # balanced accuracy of a property alone, from which on it is named
WARNED = 0.6  # of all together, from which on a study begins with a warning; CIFAKE has 0.56, by bytes a pixel


class Spread(Record):
    """Numbers of one class: how many, and the percentiles 5, 50 and 95."""

    images: int
    low: float
    median: float
    high: float


class PropertyByClass(Record):
    """One row of the bare table, by label: images of each word, most frequent first, or the spread of numbers."""

    name: str
    words: dict[str, dict[str, int]] = {}
    numbers: dict[str, Spread | None] = {}


class Share(Record):
    """A share with its 95 % interval, 0..1."""

    value: float
    low: float
    high: float


class Spectrum(Record):
    """Share of the test images that a logistic regression on the radial spectrum calls rightly, of so many."""

    accuracy: Share
    images: int


class PropertyScore(Record):
    """One property. alone: balanced accuracy of a model that sees nothing else; lost: what the whole model loses in
    balanced accuracy when the property is shuffled among the pictures. Both 0..1."""

    name: str
    alone: float
    lost: float


class GroupScore(Record):
    """Pictures of one value of a group column. right: share of the pictures that is called rightly; balanced: mean of
    `right` and of the share of the other class, None for small groups."""

    column: str
    value: str
    images: int
    right: Share
    balanced: Share | None


class Bias(Record):
    """What the check found. images: those looked at, by label; of: readable pictures in all; accuracy: balanced, None
    where there are too few different files; properties: those that differ between pictures, most telling first."""

    images: dict[str, int]
    of: int
    accuracy: Share | None = None
    properties: list[PropertyScore] = []
    groups: list[GroupScore] = []
    table: list[PropertyByClass] = []

    @property
    def telling(self) -> bool:
        """Whether the properties surely separate the classes better than chance: the whole interval lies above 60 %."""
        return self.accuracy is not None and self.accuracy.low > WARNED

    def leading(self) -> list[PropertyScore]:
        """The properties that alone separate the classes, at most three."""
        return [one for one in self.properties if one.alone > NAMED][:3]

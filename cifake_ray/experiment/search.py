"""The `search`, `resources` and `data` sections."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from cifake_ray.experiment.metric import Metric
from cifake_ray.experiment.values import SecondObjective, Strict, split_plus, unrepeated


class Search(Strict):
    """How configurations are proposed, stopped early and counted. `winner_seeds: 0` retrains no winner.

    `metric` chooses the winner and the trials that the scheduler stops; `second_objective` is minimised besides.
    """

    sampler: Literal["tpe", "gp", "cmaes", "qmc", "nsga2", "random", "grid"] = "tpe"
    trials: int = Field(20, ge=1, le=1_000_000)
    scheduler: Literal["asha", "hyperband", "median", "none"] = "asha"
    metric: Annotated[Metric, Field(strict=False)] = Metric.VAL_ACCURACY  # YAML holds the name
    second_objective: SecondObjective | None = None
    grace_epochs: int = Field(1, ge=1, le=10_000)
    reduction_factor: int = Field(3, ge=2, le=1000)
    time_budget_s: float | None = Field(None, gt=0, le=1e8)
    target: float | None = None
    winner_seeds: int = Field(3, ge=0, le=100)


class Resources(Strict):
    """Resources of one trial. `workers_per_trial: 0` trains inside the trial's own process (Ray Train's local mode).

    `wait_s`: seconds that a study waits on a busy cluster while none of its trials runs, before it gives up, resumable.
    """

    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0, ge=0)
    workers_per_trial: int = Field(0, ge=0)
    max_concurrent: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    wait_s: float = Field(3600, gt=0, le=1e8)


def _as_text(value: Any) -> Any:
    """Patterns as text: `[0]` in YAML is a number, and may name a folder. One pattern may stand without a list."""
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(str(one) if isinstance(one, int) and not isinstance(one, bool) else one for one in values)


def _as_pair(value: Any) -> Any:
    """`90` and `[90, 100]` as (lowest, highest)."""
    return (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


GENERATOR = "generator"  # the group column that names what made a FAKE picture
_MOST_UNSEEN = 100
Quality = Annotated[int, Field(ge=1, le=100)]
SAMPLES = ("sample", "sample-native")  # sources that a program of this package draws
Patterns = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...], BeforeValidator(_as_text), AfterValidator(unrepeated)
]


class Labels(Strict):
    """Names of class folders, or labels in a table, beyond the known words; `*` stands for anything."""

    fake: Patterns = ()
    real: Patterns = ()

    @model_validator(mode="after")
    def _some(self) -> "Labels":
        if not self.fake and not self.real:
            raise ValueError("expected names of class folders, as {fake: [ai*, sdxl], real: [human]}")
        if both := {name.casefold() for name in self.fake} & {name.casefold() for name in self.real}:
            raise ValueError(f"{min(both)} is named fake and real; remove one")
        return self


class Neutral(Strict):
    """One encoding for the pictures of both classes: a JPEG of a quality drawn for each picture from `quality`.

    `size`: pixels of the longer side, to which larger pictures are reduced first; null reduces no picture.
    """

    format: Literal["jpeg"] = "jpeg"
    quality: Annotated[tuple[Quality, Quality], BeforeValidator(_as_pair)] = (90, 100)
    size: int | None = Field(None, ge=32, le=8192)

    @model_validator(mode="after")
    def _in_order(self) -> "Neutral":
        if self.quality[0] > self.quality[1]:
            raise ValueError(f"quality: {self.quality[0]} is more than {self.quality[1]}; exchange them")
        return self


Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    Field(min_length=1, max_length=100),
    BeforeValidator(_as_text),
    AfterValidator(unrepeated),
]


def _by_column(value: Any) -> Any:
    """`[bird, ship]` and `bird+ship` as {subject: [bird, ship]}: a plain list names subjects."""
    listed = split_plus(value)
    return ({"subject": listed} if listed else {}) if isinstance(listed, tuple) else value


Groups = Annotated[dict[Annotated[str, Field(min_length=1)], Names], BeforeValidator(_by_column)]


class Unseen(Strict):
    """Generators of which no trial trains on a picture: a number, drawn by the split seed, or names."""

    unseen: Annotated[Annotated[int, Field(ge=1, le=_MOST_UNSEEN)] | Names, Field(union_mode="left_to_right")]


def _validating(value: Any) -> Any:
    """The value, if it has the form of `same` or of a valid Unseen; else ValueError in one line."""
    if value == "same" or isinstance(value, Unseen):
        return value
    unseen = value.get("unseen") if isinstance(value, dict) and set(value) == {"unseen"} else None
    if isinstance(unseen, int) and not isinstance(unseen, bool):
        if not 1 <= unseen <= _MOST_UNSEEN:
            raise ValueError(f"unseen: {unseen} generators; expected 1 to {_MOST_UNSEEN}")
        return Unseen(unseen=unseen)
    names = _as_text(unseen)
    if not names or not all(isinstance(name, str) and name for name in names):
        raise ValueError("expected same, {unseen: 2} or {unseen: [names of generators]}")
    return Unseen(unseen=unrepeated(names))


class Data(Strict):
    """Which images, and how the train part is split. `limit`: a stratified subset of so many train images,
    and of a quarter as many test images (at least 20); validation is taken from the train images as always.

    `leave_out`: pictures of these groups neither train nor validate; the test part keeps them. By group column, such
    as {generator: [midjourney]}; a list names subjects. `validate`: `same` draws the validation pictures of every
    generator; {unseen: 2} or {unseen: [names]} takes FAKE pictures of generators that no trial trains on.
    `labels`: other words for the classes. `parts`: which part a folder or file of this name is. `test_fraction`: share
    of the train part to draw as the test part, where the source has none. `card`: the data set's card, where numbers
    are the labels; `auto` finds the card by content. `neutral`: re-encode the pictures of both classes alike, on the
    way in. `store_side`: native pixels a side that the augmentation `window` draws from; null is twice the largest
    `image_size`.
    """

    source: str = Field("sample", min_length=1)
    val_fraction: float = Field(0.2, gt=0, lt=1)
    split_seed: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=20)
    leave_out: Groups = Field(default_factory=dict)
    validation: Annotated[Literal["same"] | Unseen, BeforeValidator(_validating)] = Field("same", alias="validate")
    labels: Labels | None = None
    parts: dict[Annotated[str, Field(min_length=1)], Literal["train", "validation", "test"]] = Field(
        default_factory=dict
    )
    test_fraction: float | None = Field(None, gt=0, lt=1)
    card: str = Field("auto", min_length=1)
    neutral: Neutral | None = None
    store_side: int | None = Field(None, ge=16, le=4096)

    @property
    def unseen(self) -> int | tuple[str, ...]:
        """How many generators, or which, validate without training: 0 where the same validate that train."""
        return self.validation.unseen if isinstance(self.validation, Unseen) else 0

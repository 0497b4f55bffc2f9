"""How a model's logits become a probability and a verdict: `decision` of model.json, and what the rule gave.

`detector.verdict` makes and applies a decision. verdicts.json is written by `evaluation.calibration`.
"""

from pydantic import Field

from cifake_ray.runs.records.base import Record


class ClassLogits(Record):
    """The calibration pictures of one class that look least like the class.

    images: calibration pictures of the class. strangest: rank (1 = the strangest, as text) to the logit of FAKE: of
    FAKE pictures the lowest logits, of REAL ones the highest. Ranks are thinned (`stats.conformal.ranked`).
    """

    images: int
    strangest: dict[str, float] = {}


class Decision(Record):
    """p(FAKE) = 1 / (1 + exp(-(a logit + b))), of as many FAKE as REAL; and what verdicts at any alpha follow from.

    calibrated_on: `validation`, or the name of pictures of the user's own.
    """

    schema_version: int = Field(0, alias="schema")
    calibrated_on: str = "validation"
    a: float
    b: float
    fake: ClassLogits = Field(alias="FAKE")
    real: ClassLogits = Field(alias="REAL")


class ClassVerdicts(Record):
    """Verdicts on pictures of one class. outside: of these unlike the calibration pictures, whose verdict is `unsure`.

    excluded: pictures whose own label the logit excludes, those outside among them: what alpha promises to bound. rank:
    among `calibrated` pictures of the class, of the logit that decides (0: too few, the label is never excluded).
    """

    images: int = 0
    fake: int = 0
    real: int = 0
    unsure: int = 0
    outside: int = 0
    excluded: int = 0
    rank: int = 0
    calibrated: int = 0


class VerdictRow(Record):
    """Verdicts at one alpha, by the class of the pictures."""

    alpha: float
    fake: ClassVerdicts = Field(ClassVerdicts(), alias="FAKE")
    real: ClassVerdicts = Field(ClassVerdicts(), alias="REAL")


class VerdictSet(Record):
    """Verdicts on one set of pictures. like_calibration: drawn as the calibration pictures were: alpha holds."""

    name: str
    like_calibration: bool = False
    rows: list[VerdictRow] = []


class Verdicts(Record):
    """verdicts.json: what the rule in best/model.json gave on the run's test part, without copies of train images."""

    schema_version: int = Field(0, alias="schema")
    calibrated_on: str = "validation"
    sets: list[VerdictSet] = []

"""robustness.json, evaluations/*.json and explain/explain.json: what `cifake-ray evaluate` found. Each is written by
the module of that name in `evaluation`."""

import math

from pydantic import Field

from cifake_ray.runs.records.base import Record
from cifake_ray.runs.records.decision import Decision, VerdictRow
from cifake_ray.runs.records.environment import LeftOut, Skipped, TakenNote
from cifake_ray.runs.records.scores import ClassScores, GroupRow, RobustnessRow, Scores, Threshold


class Robustness(Record):
    """robustness.json: the best model on degraded test images. `data`: where the images lay."""

    schema_version: int = Field(0, alias="schema")
    data: str | None = None
    test_images: int | None = None
    threshold: Threshold = Threshold()
    copies_looked_for: bool | None = None
    weights: str = ""
    left_out: list[str] = []
    rows: list[RobustnessRow] = []


class DomainCounts(Record):
    """How many images are inside and outside what the model knows, and of how many that is unknown.

    `reason`: the most frequent reason of those that are not inside.
    """

    inside: int = 0
    outside: int = 0
    unknown: int = 0
    reason: str | None = None


class Probabilities(Record):
    """How far probabilities of FAKE hold: expected calibration error, and mean logarithmic loss (nats)."""

    ece: float
    log_loss: float


class Recalibration(Record):
    """A decision fitted on pictures of the user's own (`data`), and what it changed on the pictures that were judged.

    alpha: of the verdicts asked for. images: calibration pictures by label; left_out: pictures that equal a judged one
    or one that the model was trained on. domain: counts by what the calibration pictures are like. before: empty where
    the model has no decision, or where the judged pictures are of one class; kept: whether best/model.json has the
    decision now.
    """

    data: str
    alpha: float = 0.01
    images: dict[str, int] = {}
    left_out: int = 0
    decision: Decision
    domain: DomainCounts = DomainCounts()
    verdicts: list[VerdictRow] = []
    before: Probabilities | None = None
    after: Probabilities | None = None
    kept: bool = False


class Evaluation(Record):
    """evaluations/NAME.json: the best model on other labelled images, as they are and (`robustness`) degraded.

    `run`: address or folder of the run at the time; `constant_accuracy`: the larger class's share; `only_answer`: the
    label that the model gives to every image, None when the model gives both. `groups`: the images by a group column,
    and `verdicts`, by the rule in best/ at `alpha`, which was asked for, and at others: both without copies of train
    images.
    """

    schema_version: int = Field(0, alias="schema")
    data: str | None = None
    run: str = ""
    part: str = ""
    generated: bool = False
    converted: dict[str, int] = {}
    taken: list[TakenNote] = []
    skipped: list[Skipped] = []
    left: list[LeftOut] = []
    summary: str = ""
    test_images: int | None = None
    constant_accuracy: float = math.nan
    only_answer: str | None = None
    test: Scores = Scores()
    test_dedup: Scores = Scores()
    duplicates_removed: int | None = None
    copies_looked_for: bool | None = None
    weights: str = ""
    method: str = ""
    domain: DomainCounts = DomainCounts()
    threshold: Threshold = Threshold()
    at_threshold: ClassScores = ClassScores()
    groups: list[GroupRow] = []
    alpha: float = 0.01
    verdicts: list[VerdictRow] = []
    recalibration: Recalibration | None = None
    robustness: Robustness = Robustness()


class Explained(Record):
    """A misjudged test image. `image`, `overlay`: pictures beside explain.json."""

    name: str = ""
    label: str = ""
    image: str = ""
    overlay: str = ""
    p_fake: float = math.nan
    subject: str | None = None


class Explanations(Record):
    """explain/explain.json. `method`: how the overlays were computed."""

    schema_version: int = Field(0, alias="schema")
    method: str = ""
    images: list[Explained] = []

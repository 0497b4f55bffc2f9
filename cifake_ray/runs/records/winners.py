"""winners.json and test.json: winner and baseline, retrained with fresh seeds, and what the test part gave.

`tuning.retraining` writes winners.json; `evaluation.testing` turns winners.json into test.json.
"""

import math

from pydantic import Field

from cifake_ray.experiment import Scalar
from cifake_ray.runs.records.base import Record
from cifake_ray.runs.records.scores import Scores


class Epoch(Record):
    """One epoch of a learning curve; seconds of wall time. NaN: not measured, or by a version that did not."""

    epoch: int
    train_loss: float = math.nan
    train_accuracy: float = math.nan
    val_loss: float = math.nan
    val_accuracy: float = math.nan
    learning_rate: float = math.nan
    seconds: float = math.nan
    val_balanced_accuracy: float = math.nan
    val_auc: float = math.nan
    val_worst_group: float = math.nan
    val_degraded: float = math.nan


class Seed(Record):
    """One retraining. `folder`: its checkpoints under the run, until it is tested; `test_dedup`: the test part without
    images that equal a train image. Figures of validation are of the best epoch."""

    seed: int = 0
    folder: str = ""
    best_epoch: int | None = None
    train_accuracy: float = math.nan
    val_accuracy: float = math.nan
    val_loss: float = math.nan
    val_balanced_accuracy: float = math.nan
    val_auc: float = math.nan
    val_worst_group: float = math.nan
    val_degraded: float = math.nan
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    curve: list[Epoch] = []
    test: Scores = Scores()
    test_dedup: Scores = Scores()


class Mean(Record):
    """Means over the seeds of one role."""

    train_accuracy: float = math.nan
    val_accuracy: float = math.nan
    test: Scores = Scores()
    test_dedup: Scores = Scores()

    @property
    def headline(self) -> Scores:
        """Without images that equal a train image; of all images where only these scores are recorded."""
        return self.test if self.test_dedup.empty else self.test_dedup


class Winner(Record):
    """One role: `tuned` or `baseline`. `failed`: reasons of retrainings that failed; seconds over all seeds.

    `answers`: the labels that the detectors give at all; computed from the predictions, never in a file.
    """

    role: str
    trial_id: int
    params: dict[str, Scalar] = {}
    epochs: int | None = None
    seeds: list[Seed] = []
    seconds: float = math.nan
    failed: list[str] = []
    cpu_seconds: float = math.nan
    params_trained: int | None = None
    params_total: int | None = None
    weights: str = ""
    mean: Mean = Mean()
    answers: list[str] = []


class Winners(Record):
    """winners.json: retrained, waiting for the test; and test.json, which has every key.

    `method`: how the intervals were computed; `duplicates_removed`: test images that equal a train image, which
    `test_dedup` leaves out; `validation_sha256`: of val_predictions.npz, None where none is stored.
    """

    schema_version: int = Field(0, alias="schema")
    positive_class: str = ""
    method: str = ""
    test_images: int | None = None
    duplicates_removed: int | None = None
    validation_sha256: str | None = None
    winners: list[Winner] = []

    def of_role(self, role: str) -> Winner | None:
        """The entry of this role; None where there is none."""
        return next((winner for winner in self.winners if winner.role == role), None)

"""The `search`, `resources` and `data` sections."""

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from cifake_ray.experiment.metric import Metric
from cifake_ray.experiment.values import SecondObjective, Strict, split_plus, unrepeated


class Search(Strict):
    """How configurations are proposed, stopped early and counted. `winner_seeds: 0` retrains no winner.

    `metric` chooses the winner and whom the scheduler stops; `second_objective` is minimised beside it.
    """

    sampler: Literal["tpe", "gp", "cmaes", "qmc", "nsga2", "random", "grid"] = "tpe"
    trials: int = Field(20, ge=1, le=1_000_000)
    scheduler: Literal["asha", "hyperband", "median", "none"] = "asha"
    metric: Annotated[Metric, Field(strict=False)] = Metric.VAL_ACCURACY  # YAML gives its name
    second_objective: SecondObjective | None = None
    grace_epochs: int = Field(1, ge=1, le=10_000)
    reduction_factor: int = Field(3, ge=2, le=1000)
    time_budget_s: float | None = Field(None, gt=0, le=1e8)
    target: float | None = None
    winner_seeds: int = Field(3, ge=0, le=100)


class Resources(Strict):
    """What one trial takes. `workers_per_trial: 0` trains inside the trial's own process (Ray Train's local mode).

    `wait_s`: seconds that a study waits on a busy cluster while none of its trials runs, before it gives up, resumable.
    """

    cpus_per_trial: int = Field(1, ge=1)
    gpus_per_trial: float = Field(0, ge=0)
    workers_per_trial: int = Field(0, ge=0)
    max_concurrent: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    wait_s: float = Field(3600, gt=0, le=1e8)


class Data(Strict):
    """Which images, and how the train part is split. `limit`: a stratified subset of so many train images,
    and of a quarter as many test images (at least 20); validation is taken from the train images as always.

    `leave_out`: subjects (told by the data set's card) that neither train nor validate; the test part keeps them.
    """

    source: str = Field("sample", min_length=1)
    val_fraction: float = Field(0.2, gt=0, lt=1)
    split_seed: int = Field(0, ge=0)
    limit: int | None = Field(None, ge=20)
    leave_out: Annotated[
        tuple[str, ...], BeforeValidator(split_plus), AfterValidator(unrepeated), Field(max_length=100)
    ] = ()

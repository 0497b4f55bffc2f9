"""warm_start.json: what a study knew of other studies before its first trial. Written by `tuning.study`."""

from typing import Literal

from pydantic import Field

from cifake_ray.experiment import Scalar
from cifake_ray.runs.records.base import Record


class KnownTrial(Record):
    """A trial of another study, in the search space of this one.

    `values`: the best of the metric, then the second objective where this study has one; `last`: the metric after its
    last epoch, the number of which is `epochs`.
    """

    params: dict[str, Scalar]
    status: Literal["completed", "stopped"]
    epochs: int
    values: list[float]
    last: float


class WarmNote(Record):
    """What was taken of one run, in environment.json. `trials`: those with a result.

    `known`: trials that the sampler knows, or (then `reason` says why not) `proposed`: configurations that were the
    first proposals. `dropped`: trials with a value that this study cannot have; `thinned`: trials left out because a GP
    of more is slow; `outside`: by key, values that dropped a trial, or for which a proposal has this study's own.
    """

    run: str = ""
    trials: int = 0
    known: int = 0
    proposed: int = 0
    dropped: int = 0
    thinned: int = 0
    outside: dict[str, int] = {}
    reason: str = ""


class WarmStart(Record):
    """warm_start.json. `proposals`: first proposals after the baseline, in order."""

    schema_version: int = Field(0, alias="schema")
    known: list[KnownTrial] = []
    proposals: list[dict[str, Scalar]] = []

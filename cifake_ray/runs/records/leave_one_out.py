"""What `tune --leave-one-out` prints as JSON: the test images of each group, judged by the study without the group."""

from pydantic import Field

from cifake_ray.runs.records.base import Record
from cifake_ray.runs.records.scores import GroupRow, Interval


class WithoutGroup(GroupRow):
    """One study and the group that it left out. `real`: share of all REAL test images that it judges rightly."""

    study: str = ""
    run: str = ""
    real: Interval = Interval()


class OverGroups(Record):
    """One figure over the groups of 20 images or more. `spread`: standard deviation; `lowest`: group of the minimum."""

    mean: float
    spread: float | None = None
    minimum: float
    lowest: str = ""


class LeaveOneOut(Record):
    """`figures`: by `right`, `balanced_accuracy`, `auc` and `average_precision`."""

    schema_version: int = Field(0, alias="schema")
    column: str = ""
    studies: list[WithoutGroup] = []
    figures: dict[str, OverGroups] = {}

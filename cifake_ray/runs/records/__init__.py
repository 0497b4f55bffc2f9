"""The JSON files of a run, one class each. Unknown keys are kept; files of earlier versions load."""

from cifake_ray.runs.records.base import SCHEMA, Record
from cifake_ray.runs.records.bias import (
    NAMED,
    WARNED,
    Bias,
    GroupScore,
    PropertyByClass,
    PropertyScore,
    Share,
    Spectrum,
    Spread,
)
from cifake_ray.runs.records.environment import (
    DataNote,
    Environment,
    FeatureCost,
    LeftOut,
    Node,
    Skipped,
    TakenNote,
    TestDrawn,
    WeightsNote,
)
from cifake_ray.runs.records.evaluations import DomainCounts, Evaluation, Explained, Explanations, Robustness
from cifake_ray.runs.records.leave_one_out import LeaveOneOut, OverGroups, WithoutGroup
from cifake_ray.runs.records.model import BackboneNote, Domain, ModelNote, Property, TransformNote
from cifake_ray.runs.records.scores import TIER, ClassScores, GroupRow, Interval, RobustnessRow, Scores, Threshold
from cifake_ray.runs.records.winners import Epoch, Mean, Seed, Winner, Winners

# By the name of the file; each evaluation has a name of its own, and test.json is a winners.json with every key.
# leave-one-out.json is no file of a run, but what `tune --leave-one-out --json` prints.
RECORDS: dict[str, type[Record]] = {
    "environment.json": Environment,
    "winners.json": Winners,
    "test.json": Winners,
    "robustness.json": Robustness,
    "evaluation.json": Evaluation,
    "explain.json": Explanations,
    "model.json": ModelNote,
    "threshold.json": Threshold,
    "leave-one-out.json": LeaveOneOut,
}

__all__ = [
    "NAMED",
    "RECORDS",
    "SCHEMA",
    "TIER",
    "WARNED",
    "BackboneNote",
    "Bias",
    "ClassScores",
    "DataNote",
    "Domain",
    "DomainCounts",
    "Environment",
    "Epoch",
    "Evaluation",
    "Explained",
    "Explanations",
    "FeatureCost",
    "GroupRow",
    "GroupScore",
    "Interval",
    "LeaveOneOut",
    "LeftOut",
    "Mean",
    "ModelNote",
    "Node",
    "OverGroups",
    "Property",
    "PropertyByClass",
    "PropertyScore",
    "Record",
    "Robustness",
    "RobustnessRow",
    "Scores",
    "Seed",
    "Share",
    "Skipped",
    "Spectrum",
    "Spread",
    "TakenNote",
    "TestDrawn",
    "Threshold",
    "TransformNote",
    "WeightsNote",
    "Winner",
    "Winners",
    "WithoutGroup",
]

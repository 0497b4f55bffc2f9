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
from cifake_ray.runs.records.blend import BlendMember, BlendNote
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
from cifake_ray.runs.records.model import BackboneNote, Domain, MemberNote, ModelNote, Property, TransformNote
from cifake_ray.runs.records.scores import ClassScores, Interval, RobustnessRow, Scores, Threshold
from cifake_ray.runs.records.warm_start import KnownTrial, WarmNote, WarmStart
from cifake_ray.runs.records.winners import Epoch, Mean, Seed, Winner, Winners

# By the name of the file; each evaluation has a name of its own, and test.json is a winners.json with every key.
RECORDS: dict[str, type[Record]] = {
    "blend.json": BlendNote,
    "environment.json": Environment,
    "warm_start.json": WarmStart,
    "winners.json": Winners,
    "test.json": Winners,
    "robustness.json": Robustness,
    "evaluation.json": Evaluation,
    "explain.json": Explanations,
    "model.json": ModelNote,
    "threshold.json": Threshold,
}

__all__ = [
    "NAMED",
    "RECORDS",
    "SCHEMA",
    "WARNED",
    "BackboneNote",
    "Bias",
    "BlendMember",
    "BlendNote",
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
    "GroupScore",
    "Interval",
    "KnownTrial",
    "LeftOut",
    "Mean",
    "MemberNote",
    "ModelNote",
    "Node",
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
    "WarmNote",
    "WarmStart",
    "WeightsNote",
    "Winner",
    "Winners",
]

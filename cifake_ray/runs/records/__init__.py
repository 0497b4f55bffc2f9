"""The JSON files of a run, one class each. Unknown keys are kept; files of earlier versions load."""

from cifake_ray.runs.records.base import SCHEMA, Record
from cifake_ray.runs.records.environment import (
    DataNote,
    Environment,
    FeatureCost,
    LeftOut,
    Node,
    Skipped,
    WeightsNote,
)
from cifake_ray.runs.records.evaluations import Evaluation, Explained, Explanations, Robustness
from cifake_ray.runs.records.model import BackboneNote, Domain, ModelNote, Property
from cifake_ray.runs.records.scores import ClassScores, Interval, RobustnessRow, Scores, Threshold
from cifake_ray.runs.records.winners import Epoch, Mean, Seed, Winner, Winners

__all__ = [
    "SCHEMA",
    "BackboneNote",
    "ClassScores",
    "DataNote",
    "Domain",
    "Environment",
    "Epoch",
    "Evaluation",
    "Explained",
    "Explanations",
    "FeatureCost",
    "Interval",
    "LeftOut",
    "Mean",
    "ModelNote",
    "Node",
    "Property",
    "Record",
    "Robustness",
    "RobustnessRow",
    "Scores",
    "Seed",
    "Skipped",
    "Threshold",
    "WeightsNote",
    "Winner",
    "Winners",
]

"""The experiment: one YAML file as validated values. Loading, overriding, saving; every complaint is one line."""

from cifake_ray.experiment.backbones import deepest, pooled_columns, stages_of, taps_of, up_to
from cifake_ray.experiment.file import (
    check_study,
    load_experiment,
    override,
    parse_yaml,
    save_experiment,
    validate_experiment,
)
from cifake_ray.experiment.model import MODEL_KINDS, BackboneModel, CnnDeepModel, CnnModel, Model
from cifake_ray.experiment.schema import Experiment
from cifake_ray.experiment.search import Data, Resources, Search
from cifake_ray.experiment.space import CategoricalDimension, Dimension, FloatDimension, IntDimension
from cifake_ray.experiment.training import Augmentations, Training
from cifake_ray.experiment.values import Metric, Pool, Scalar, Strict, join_plus

__all__ = [
    "MODEL_KINDS",
    "Augmentations",
    "BackboneModel",
    "CategoricalDimension",
    "CnnDeepModel",
    "CnnModel",
    "Data",
    "Dimension",
    "Experiment",
    "FloatDimension",
    "IntDimension",
    "Metric",
    "Model",
    "Pool",
    "Resources",
    "Scalar",
    "Search",
    "Strict",
    "Training",
    "check_study",
    "deepest",
    "join_plus",
    "load_experiment",
    "override",
    "parse_yaml",
    "pooled_columns",
    "save_experiment",
    "stages_of",
    "taps_of",
    "up_to",
    "validate_experiment",
]

"""The experiment: one YAML file as validated values. Loading, overriding, saving; every complaint is one line."""

from cifake_ray.experiment.file import (
    check_study,
    load_experiment,
    override,
    parse_yaml,
    save_experiment,
    validate_experiment,
)
from cifake_ray.experiment.model import MODEL_KINDS, CnnDeepModel, CnnModel, Model, ResNet50Model
from cifake_ray.experiment.schema import Experiment
from cifake_ray.experiment.search import Data, Resources, Search
from cifake_ray.experiment.space import CategoricalDimension, Dimension, FloatDimension, IntDimension
from cifake_ray.experiment.training import Augmentations, Training
from cifake_ray.experiment.values import STAGES, Metric, Pool, Scalar, Stage, Strict, join_plus

__all__ = [
    "MODEL_KINDS",
    "STAGES",
    "Augmentations",
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
    "ResNet50Model",
    "Resources",
    "Scalar",
    "Search",
    "Stage",
    "Strict",
    "Training",
    "check_study",
    "join_plus",
    "load_experiment",
    "override",
    "parse_yaml",
    "save_experiment",
    "validate_experiment",
]

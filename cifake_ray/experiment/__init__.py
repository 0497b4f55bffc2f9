"""The experiment: one YAML file as validated values. Loading, overriding, saving; every error is one line."""

from cifake_ray.experiment.configurations import (
    active_params,
    all_configurations,
    configurations_of,
    count_configurations,
    is_active,
    is_whole,
    parents_first,
)
from cifake_ray.experiment.families.base import ModelSettings, PassKey
from cifake_ray.experiment.file import (
    check_study,
    load_experiment,
    override,
    save_experiment,
    validate_experiment,
)
from cifake_ray.experiment.keys import keys_of, value_at
from cifake_ray.experiment.metric import Metric
from cifake_ray.experiment.model import MODEL_KINDS, Model
from cifake_ray.experiment.own_file import OwnFile, read_own_file
from cifake_ray.experiment.pairs import MOST_CONFIGURATIONS
from cifake_ray.experiment.schema import Experiment
from cifake_ray.experiment.search import GENERATOR, SAMPLES, Data, Neutral, Resources, Search
from cifake_ray.experiment.space import CategoricalDimension, Dimension, FloatDimension, IntDimension, fitted
from cifake_ray.experiment.training import Augmentations, Training
from cifake_ray.experiment.values import FeatureNorm, Pool, Scalar, SecondObjective, Strict, join_plus
from cifake_ray.experiment.yaml_text import parse_yaml
from cifake_ray.fits import TILES, WINDOWED, Fit

__all__ = [
    "GENERATOR",
    "MODEL_KINDS",
    "MOST_CONFIGURATIONS",
    "SAMPLES",
    "TILES",
    "WINDOWED",
    "Augmentations",
    "CategoricalDimension",
    "Data",
    "Dimension",
    "Experiment",
    "FeatureNorm",
    "Fit",
    "FloatDimension",
    "IntDimension",
    "Metric",
    "Model",
    "ModelSettings",
    "Neutral",
    "OwnFile",
    "PassKey",
    "Pool",
    "Resources",
    "Scalar",
    "Search",
    "SecondObjective",
    "Strict",
    "Training",
    "active_params",
    "all_configurations",
    "check_study",
    "configurations_of",
    "count_configurations",
    "fitted",
    "is_active",
    "is_whole",
    "join_plus",
    "keys_of",
    "load_experiment",
    "override",
    "parents_first",
    "parse_yaml",
    "read_own_file",
    "save_experiment",
    "validate_experiment",
    "value_at",
]

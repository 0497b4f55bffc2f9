"""The feature cache: a frozen backbone sees each image once."""

from cifake_ray.features.shards import RunShards, free_resources, local_shards, ray_shards
from cifake_ray.features.specs import FeatureSpec, backbone_weights, feature_specs, model_specs, weight_names
from cifake_ray.features.store import FeatureSet, ensure_features, missing_features

__all__ = [
    "FeatureSet",
    "FeatureSpec",
    "RunShards",
    "backbone_weights",
    "ensure_features",
    "feature_specs",
    "free_resources",
    "local_shards",
    "missing_features",
    "model_specs",
    "ray_shards",
    "weight_names",
]

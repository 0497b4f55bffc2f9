"""The feature cache: a frozen backbone sees each image once."""

from cifake_ray.features.extraction import missing_features
from cifake_ray.features.places import distinct_passes, transform_of
from cifake_ray.features.shards import RunShards, free_resources, local_shards, ray_shards
from cifake_ray.features.store import FeatureSet, ensure_features

__all__ = [
    "FeatureSet",
    "RunShards",
    "distinct_passes",
    "ensure_features",
    "free_resources",
    "local_shards",
    "missing_features",
    "ray_shards",
    "transform_of",
]

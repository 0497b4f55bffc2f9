"""Images: sources, decoded sets in the cache, splits. Names are imported at their first use.

Decoding processes import modules of this package, and all of it takes 0.4 s of each.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cifake_ray.data.decoding.decode import load_image_file
    from cifake_ray.data.evaluation_set import Labelled, load_labelled
    from cifake_ray.data.images import ImageSet, Part, Skipped, load_images, open_images
    from cifake_ray.data.sources.locate import absolute_source, check_images_here, readable_source, run_images
    from cifake_ray.data.splits import Split, copies_among, split_train, study_split, train_duplicates

_HOMES = {
    "decoding.decode": ("load_image_file",),
    "evaluation_set": ("Labelled", "load_labelled"),
    "images": ("ImageSet", "Part", "Skipped", "load_images", "open_images"),
    "sources.locate": ("absolute_source", "check_images_here", "readable_source", "run_images"),
    "splits": ("Split", "copies_among", "split_train", "study_split", "train_duplicates"),
}

__all__ = [
    "ImageSet",
    "Labelled",
    "Part",
    "Skipped",
    "Split",
    "absolute_source",
    "check_images_here",
    "copies_among",
    "load_image_file",
    "load_images",
    "load_labelled",
    "open_images",
    "readable_source",
    "run_images",
    "split_train",
    "study_split",
    "train_duplicates",
]


def __getattr__(name: str) -> object:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{home}"), name)

"""Images: sources, decoded sets in the cache, splits."""

from cifake_ray.data.decoding.decode import load_image_file
from cifake_ray.data.evaluation_set import Labelled, load_labelled
from cifake_ray.data.images import ImageSet, Part, Skipped, load_images, open_images
from cifake_ray.data.sources.locate import absolute_source, check_images_here, readable_source, run_images
from cifake_ray.data.splits import Split, copies_among, split_train, study_split, train_duplicates

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

"""What a study trains on, found before Ray is started. Light for models without a backbone: torch is not imported."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifake_ray.console import progress
from cifake_ray.data import ImageSet, Split, load_images, run_images, split_train, train_duplicates
from cifake_ray.data.audit.balance import unbalanced
from cifake_ray.data.images import remarks
from cifake_ray.errors import InputError
from cifake_ray.experiment import BackboneModel, Experiment
from cifake_ray.runs.run import LABELS, Run

if TYPE_CHECKING:
    from cifake_ray.features import FeatureSpec
    from cifake_ray.models.weights import Weights


@dataclass(frozen=True)
class StudyInputs:
    """What can be checked before anything is written: the images, their split, and the weights that are asked for."""

    images: ImageSet
    split: Split
    specs: "list[FeatureSpec]"
    weights: "list[Weights]"
    duplicates_in_test: int  # test images that equal a train image


def gather_inputs(experiment: Experiment, run: Run | None = None, source: str | None = None) -> StudyInputs:
    """Decode (or open) the images, split them, find the weights. Raises InputError for anything unusable.

    With `run` the images are those that this run was made with, at `source` or wherever they are found.
    """
    specs, weights = _backbone(experiment) if isinstance(experiment.model, BackboneModel) else ([], [])
    images = _load(experiment) if run is None else run_images(run, experiment, source)
    data = experiment.data
    split = split_train(images.train, data.val_fraction, data.split_seed, data.leave_out)
    duplicates = train_duplicates(images)
    if duplicates.all():
        raise InputError(
            f"{images.source}: every one of the {len(duplicates):,} test images equals a train image, so none is left "
            "to test on; give other test images"
        )
    return StudyInputs(images, split, specs, weights, int(duplicates.sum()))


def warnings_of(images: ImageSet) -> list[str]:
    """What a person should know before the first trial: what was left out or converted, a class that prevails."""
    counts = {label: int((images.train.labels == code).sum()) for code, label in enumerate(LABELS)}
    said = unbalanced("train", counts)
    return [*remarks(images), *([f"warning: {said}"] if said else [])]


def _load(experiment: Experiment) -> ImageSet:
    with progress("decoding images") as update:
        return load_images(experiment.data.source, limit=experiment.data.limit, progress=update)


def _backbone(experiment: Experiment) -> "tuple[list[FeatureSpec], list[Weights]]":
    """The feature sets that trials take, and all weights."""
    from cifake_ray.features import backbone_weights, feature_specs

    with progress("downloading weights", "bytes") as update:
        specs = feature_specs(experiment, progress=update)
        return specs, list(dict.fromkeys(backbone_weights(experiment, progress=update).values()))

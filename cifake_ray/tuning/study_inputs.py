"""What a study trains on, found before Ray is started. Without pretrained weights torch is not imported."""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import ImageSet, Part, Split, load_images, run_images, study_split, train_duplicates
from cifake_ray.data.audit.balance import few_images, unbalanced
from cifake_ray.data.audit.bias import bias_of_source
from cifake_ray.data.audit.bias_text import before_and_after, warning
from cifake_ray.data.audit.spectrum import spectrum_of
from cifake_ray.data.datasets import generic, sample_native
from cifake_ray.data.groups import check_generators, check_groups, columns_of_source, in_groups, large_generators
from cifake_ray.data.images import remarks
from cifake_ray.data.sources.find import Encoded
from cifake_ray.data.sources.reading import PLAIN, Reading, reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import Bias, Spectrum
from cifake_ray.runs.run import Run
from cifake_ray.tuning.disk import beyond_pictures, check_disk
from cifake_ray.tuning.squares import check_squares

if TYPE_CHECKING:
    from cifake_ray.models.passes import FeatureSpec
    from cifake_ray.models.weight_files import Weights


@dataclass(frozen=True)
class StudyInputs:
    """What can be checked before anything is written: images, their split, and the weights that are named."""

    images: ImageSet
    split: Split
    specs: "list[FeatureSpec]"
    weights: "list[Weights]"
    duplicates_in_test: int  # test images that equal a train image
    bias: Bias | None = None  # of pictures of the user's own
    neutral_bias: Bias | None = None  # the same in the neutral encoding, where the experiment asks for one
    spectrum: Spectrum | None = None  # of the sample of native sizes
    generators: np.ndarray | None = None  # of the validation pictures, where the metric needs them
    left_out: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # groups that neither train nor validate

    def pictures_of(self, spec: "FeatureSpec") -> Part:
        """The pictures whose features a pass computes: all of the train part, or those that train, of which there are
        augmented copies. Their fingerprint names exactly these."""
        train, rows = self.images.train, self.split.train
        if not spec.copied:
            return train
        digest = hashlib.sha256(rows.astype(np.int64).tobytes()).hexdigest()[:32]
        return dataclasses.replace(train.take(rows), fingerprint=f"{train.fingerprint}-{digest}")


def gather_inputs(experiment: Experiment, run: Run | None = None, source: str | None = None) -> StudyInputs:
    """Decode (or open) the images, split them, find the weights. Raises InputError for anything unusable.

    With `run` the images are those that this run was made with, at `source` or wherever they are found.
    """
    check_network(experiment)
    specs, weights = _pretrained(experiment) if experiment.model.weight_names else ([], [])
    images = _load(experiment, specs) if run is None else run_images(run, experiment, source)
    check_squares(experiment, images.side)
    data = experiment.data
    split = study_split(images.train, data)
    generators = validation_generators(experiment, images.train, split)
    check_disk(experiment, images, specs, len(split.validation))
    duplicates = train_duplicates(images)
    if duplicates.all():
        raise InputError(
            f"{images.source}: every one of the {len(duplicates):,} test images equals a train image, so none is left "
            "to test on",
            "give other test images",
        )
    bias, neutral_bias = biases_of(images, reading_of(data))
    spectrum = _spectrum(images)
    return StudyInputs(
        images, split, specs, weights, int(duplicates.sum()), bias, neutral_bias, spectrum, generators, data.leave_out
    )


def validation_generators(experiment: Experiment, train: Part, split: Split) -> np.ndarray | None:
    """Numbers of the generators of the validation pictures, int64 [n], where the metric needs them; else None.

    Raises InputError (`search.metric`) where fewer than two generators have enough pictures.
    """
    wanted = experiment.search.metric.by_generator
    return large_generators(train.table.take(split.validation)) if wanted else None


def check_network(experiment: Experiment) -> None:
    """Try the network of the experiment's own values, where the user's own Python file defines the network.

    Raises InputError, with file and line. Networks of this package are not tried, and torch is not imported for them.
    """
    if experiment.model.own_file_path:
        from cifake_ray.models.registry import family_of

        family_of(experiment.model).check(experiment.model)


def bias_of(images: ImageSet, reading: Reading = PLAIN) -> Bias | None:
    """The bias check of pictures of the user's own; None for a data set with a card, whose card says it.

    At most 20,000 pictures are looked at: 8 s of one core the first time, then the answer is in the cache.
    """
    return bias_of_source(images.source, reading) if images.card.name == generic.CARD.name else None


def biases_of(images: ImageSet, reading: Reading = PLAIN) -> tuple[Bias | None, Bias | None]:
    """`bias_of` the pictures as delivered, and of the same in the neutral encoding where the reading has one."""
    before = bias_of(images, reading)
    after = bias_of_source(images.source, reading, reading.neutral) if before and reading.neutral else None
    return before, after


def _spectrum(images: ImageSet) -> Spectrum | None:
    if images.card.name != sample_native.CARD.name:
        return None
    with progress("radial spectra, for comparison", "images") as update:
        return spectrum_of(images, update)


def warnings_of(images: ImageSet, bias: Bias | None = None, neutral_bias: Bias | None = None) -> list[str]:
    """What a person should know of images before the first trial.

    That is: what was left out or converted, a class that prevails, file properties that separate the classes.
    """
    both = before_and_after(bias, neutral_bias) if bias and neutral_bias else []
    said = [unbalanced("train", _counts(images.train.labels)), warning(neutral_bias or bias)]
    return [*remarks(images), *both, *(f"warning: {one}" for one in said if one)]


def split_lines(inputs: StudyInputs) -> list[str]:
    """How the parts came about, where not in the usual way: a test part that was drawn, a validation part as given."""
    lines = []
    if (drawn := inputs.images.test_drawn) is not None:
        lines.append(
            f"test part: drawn from the train part, {100 * drawn['fraction']:.0f} % by split seed {drawn['seed']}"
        )
    if inputs.images.train.table.given_validation.any():
        dropped = inputs.split.dropped
        lines.append(f"validation part: as given; {dropped:,} train images that equal one of its images are left out")
    return [*lines, *_left_out_lines(inputs), *_unseen_lines(inputs.split)]


def _left_out_lines(inputs: StudyInputs) -> list[str]:
    """What is left out of training by groups, and how many test pictures show what that costs."""
    lines = []
    for column, values in inputs.left_out.items():
        tested = int(in_groups(inputs.images.test.table, {column: values}).sum())
        trained = int(in_groups(inputs.images.train.table, {column: values}).sum())
        lines.append(
            f"left out: {column} {', '.join(values)}: {trained:,} train pictures neither train nor validate; "
            f"{tested:,} test pictures are scored apart"
        )
        if not tested:
            lines.append(f"warning: no test picture is of {column} {' or '.join(values)}, so none shows the difference")
    return lines


def _unseen_lines(split: Split) -> list[str]:
    if not split.unseen:
        return []
    lines = [f"validation: FAKE pictures of {', '.join(split.unseen)}, generators that no trial trains on"]
    if split.dropped:
        lines.append(f"{split.dropped:,} train images that equal a validation image are left out")
    if split.unnamed:
        lines.append(f"{split.unnamed:,} FAKE train images of no known generator are left out, as they may be of these")
    return lines


def small_parts(inputs: StudyInputs) -> list[str]:
    """A warning when validation or test have so few images that their accuracies say little; else nothing."""
    validation = inputs.images.train.labels[inputs.split.validation]
    said = few_images({"validation": _counts(validation), "test": _counts(inputs.images.test.labels)})
    return [f"warning: {said}"] if said else []


def _counts(labels: np.ndarray) -> dict[str, int]:
    return {label: int((labels == code).sum()) for code, label in enumerate(LABELS)}


def _load(experiment: Experiment, specs: "list[FeatureSpec]") -> ImageSet:
    data, beyond = experiment.data, partial(beyond_pictures, experiment, specs)
    with progress("decoding images") as update:
        return load_images(
            data.source, limit=data.limit, progress=update, reading=reading_of(data), beyond=beyond,
            check=partial(_check_groups, experiment),
        )  # fmt: skip


def _check_groups(experiment: Experiment, parts: Mapping[str, Encoded]) -> None:
    """Refuse groups that the pictures do not have, before these are decoded."""
    images = {part: len(encoded.labels) for part, encoded in parts.items()}
    columns = columns_of_source(parts)
    check_groups(experiment.data, columns, images)
    check_generators(experiment.search.metric, columns)


def _pretrained(experiment: Experiment) -> "tuple[list[FeatureSpec], list[Weights]]":
    """The feature sets that trials take, and all weights."""
    from cifake_ray.models.registry import family_of

    family = family_of(experiment.model)
    with progress("downloading weights", "bytes") as update:
        specs = family.passes(experiment, update)
        return specs, family.searched_weights(experiment, update)

"""What a study puts on the disk of the cache folder, and its refusal before it fills that disk."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cifake_ray.data import ImageSet, Part
from cifake_ray.data.squares import squares_bytes, squares_path
from cifake_ray.data.transform import Transform
from cifake_ray.experiment import CategoricalDimension, Experiment, Model
from cifake_ray.storage.cache import check_room, read_entry
from cifake_ray.tuning.squares import degraded_copies, degraded_transforms, study_transforms

if TYPE_CHECKING:
    from cifake_ray.models.passes import FeatureSpec


@dataclass(frozen=True)
class DiskUse:
    """Bytes in the cache folder. squares: arrays of pictures of any size, one a transform; features: of all passes."""

    pictures: int
    squares: int
    features: int

    @property
    def total(self) -> int:
        return self.pictures + self.squares + self.features


def disk_use(experiment: Experiment, images: ImageSet, specs: "list[FeatureSpec]", validation: int = 0) -> DiskUse:
    """What the whole study holds on the disk, whatever of it is there already. validation: pictures that validate."""
    from cifake_ray.features import distinct_passes

    parts = (images.train, images.test)
    count = sum(map(len, parts))
    features = sum(2 * spec.width * count for spec in distinct_passes(images.train, specs))
    squares = _squares(experiment, len(images.train)) if images.side is None else 0
    degraded = _degraded(experiment, images, specs, validation)
    pictures = sum(part.pixels.nbytes for part in parts)
    return DiskUse(pictures, squares + degraded[0], features + degraded[1])


def beyond_pictures(experiment: Experiment, specs: "list[FeatureSpec]", counts: Mapping[str, int], held: bool) -> int:
    """Bytes that come on top of the pictures themselves; counts: part to pictures, before any limit.

    `held`: pictures of one small size, whose squares are the pictures.
    """
    limit = experiment.data.limit
    train, count = counts.get("train", 0) + counts.get("validation", 0), sum(counts.values())
    if limit is not None:
        train, count = min(train, limit), min(count, limit + max(limit // 4, 20))
    squares = 0 if held else _squares(experiment, train)
    return squares + _features(specs, count)


def check_disk(experiment: Experiment, images: ImageSet, specs: "list[FeatureSpec]", validation: int = 0) -> None:
    """Raise InputError when the disk has no room for what the cache lacks of a study on these images.

    validation: pictures that validate, whose degraded copies are counted whether the cache has them or not.
    """
    features = _features(_lacking(images.train, specs), len(images.train) + len(images.test))
    squares = 0
    if images.side is None:
        squares = sum(squares_bytes(len(images.train), one) for one in _transforms_of(experiment)
                      if read_entry(squares_path(images.train, one), verify=False) is None)  # fmt: skip
    degraded = sum(_degraded(experiment, images, specs, validation))
    check_room(squares + features + degraded, "the arrays and features of this study")


def _lacking(part: Part, specs: "list[FeatureSpec]") -> "list[FeatureSpec]":
    """The passes whose features the cache lacks. Without passes torch is not imported: Ray starts meanwhile."""
    if not specs:
        return []
    from cifake_ray.features import missing_features

    return [spec for spec in specs if missing_features(part, spec)]


def largest_squares(experiment: Experiment, part: Part) -> int:
    """Bytes of the largest array that a trial reads: of the pictures themselves where these are held."""
    if part.side is not None:
        return part.pixels.nbytes
    return max((squares_bytes(len(part), one) for one in _transforms_of(experiment)), default=0)


def _features(specs: "list[FeatureSpec]", count: int) -> int:
    """Shards of the largest pass lie beside the features that are made of them."""
    sizes = [2 * spec.width * count for spec in specs]
    return sum(sizes) + max(sizes, default=0)


def _degraded(
    experiment: Experiment, images: ImageSet, specs: "list[FeatureSpec]", validation: int
) -> tuple[int, int]:  # fmt: skip
    """Bytes of the squares, and of the features, of degraded validation pictures; none for other metrics."""
    count = degraded_copies(experiment) * validation
    if not count:
        return 0, 0
    transforms = degraded_transforms(experiment, images.side, specs)
    return sum(squares_bytes(count, one) for one in transforms), _features(specs, count)


def _squares(experiment: Experiment, count: int) -> int:
    return sum(squares_bytes(count, transform) for transform in _transforms_of(experiment))


def _transforms_of(experiment: Experiment) -> list[Transform]:
    """Those of pictures of any size that trials train on; none for frozen backbones, which hold features."""
    return [] if experiment.model.takes_features else study_transforms(experiment, None)


def searched_models(experiment: Experiment) -> Iterator[Model]:
    """The model of every combination of what the inputs of a network depend on."""
    asked = {name: experiment.search_space.get(name) for name in experiment.model.input_keys}
    choices = {
        name: dimension.choices for name, dimension in asked.items() if isinstance(dimension, CategoricalDimension)
    }
    combined = (dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values()))
    return (experiment.with_params(params).model for params in combined)

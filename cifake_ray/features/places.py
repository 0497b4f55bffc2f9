"""Places of the features of a pass in the cache, by a hash of everything that determines the values."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from cifake_ray.data.pixels import EncodedPixels, Pixels
from cifake_ray.data.transform import Transform, native_transform
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.storage.cache import cache_root

KIND = "features"
_FORMAT = 1  # raise the number when the values of a feature change


class Pictures(Protocol):
    """Pixels by row, and the SHA-256 that identifies the pictures."""

    @property
    def pixels(self) -> Pixels: ...

    @property
    def fingerprint(self) -> str: ...


def transform_of(spec: FeatureSpec, pixels: Pixels) -> Transform | None:
    """The transform that decodes a picture for the pass; None for pictures that are held in one small size.

    Pictures under a transform keep that transform, as for a model that was trained on pictures of one small size.
    """
    if not isinstance(pixels, EncodedPixels):
        return None
    return pixels.transform or native_transform(spec.fit, spec.side)


def entries_of(part: Pictures, spec: FeatureSpec) -> dict[str, Path]:
    """The cache entry of each `stage.statistic` of the pass."""
    key = pass_key(part, spec)
    return {name: cache_root() / KIND / f"{key}-{name}" for name in spec.columns}


def shards_folder(part: Pictures, spec: FeatureSpec) -> Path:
    """The folder of shards of one pass, the same for every last stage, so that two extractions never run at once."""
    return cache_root() / KIND / f"{pass_key(part, spec)}.shards"


def shard_path(folder: Path, start: int) -> Path:
    """The shard whose first row is `start`."""
    return folder / f"{start:08d}"


def distinct_passes(part: Pictures, specs: Sequence[FeatureSpec]) -> list[FeatureSpec]:
    """The passes, with passes of one key merged into one pass that has the columns of all.

    Held pictures are only resized to the network's input, so passes that differ in the square alone have one key.
    """
    found: dict[str, FeatureSpec] = {}
    for spec in specs:
        first = found.setdefault(pass_key(part, spec), spec)
        if not {*spec.columns} <= {*first.columns}:
            columns = tuple(dict.fromkeys([*first.taken, *spec.columns]))
            found[pass_key(part, spec)] = replace(first, taken=columns)
    return list(found.values())


def pass_key(part: Pictures, spec: FeatureSpec) -> str:
    """The prefix of the names of the pass's entries."""
    facts = [str(_FORMAT), part.fingerprint, spec.identity, str(spec.image_size), spec.view]
    transform = transform_of(spec, part.pixels)
    if transform is not None:
        facts.append(transform.name)
    if spec.fit != "resize" and transform != native_transform(spec.fit, spec.side):
        facts.append(f"{spec.fit}-{spec.side}")  # of a square that is cut on the device
    if spec.recipe is not None:
        facts.append(spec.recipe.model_dump_json(exclude_unset=True))
    look = spec.view.replace("/", "-")
    return f"{look}-{spec.image_size}px-{hashlib.sha256('/'.join(facts).encode()).hexdigest()[:32]}"

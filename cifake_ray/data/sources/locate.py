"""Find the images of a run: fingerprints identify the images, and the recorded place is a hint.

Runs of version 0.1 recorded the first fingerprint alone, over arrays of 32 pixels; a run matches by either.
"""

import dataclasses
import json
import os
from collections.abc import Iterator
from pathlib import Path

from cifake_ray.console import progress
from cifake_ray.data.build import KIND, set_fingerprint
from cifake_ray.data.images import ImageSet, load_images, open_images
from cifake_ray.data.labels import PARTS
from cifake_ray.data.sources.reading import neutral_name, reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES, Experiment
from cifake_ray.runs.records.store import read_environment
from cifake_ray.runs.run import Run
from cifake_ray.storage.cache import META, cache_root, read_entry
from cifake_ray.storage.mirror import is_remote

VARIABLE = "CIFAKE_RAY_DATA"
FIRST_SIDE = 32  # pixels a side of all pictures in version 0.1


def absolute_source(source: str) -> str:
    """`source` valid in every working folder: a local path made absolute; samples and addresses unchanged."""
    return source if source in SAMPLES or is_remote(source) else str(Path(source).expanduser().absolute())


def check_images_here(run: Run, experiment: Experiment, source: str | None = None) -> None:
    """Raise InputError when `run_images` cannot find the images. Quick: nothing is decoded or fetched."""
    here = source is not None or _is_there(experiment.data.source) or _from_environment() is not None
    if not here and next(_entries(noted_fingerprints(run)), None) is None:
        raise _not_here(run, experiment)


def run_images(run: Run, experiment: Experiment, source: str | None = None) -> ImageSet:
    """The images that `run` was made with, decoded or from the cache.

    Searched at `source` (`--data`), or else at the recorded place, in the cache by fingerprint, and at
    CIFAKE_RAY_DATA. Raises InputError when the images are at none of these places, or other images are there.
    """
    if source is not None:
        return _checked(run, _load(run, experiment, source))
    refusal: InputError | None = None
    if _is_there(experiment.data.source):
        try:
            images = _load(run, experiment, experiment.data.source)
        except InputError as error:  # something else lies there now
            refusal = error
        else:
            return _checked(run, images)
    if (cached := _cached(run, experiment)) is not None:
        return cached
    if (place := _from_environment()) is not None:
        return _checked(run, _load(run, experiment, place))
    raise refusal or _not_here(run, experiment)


def readable_source(run: Run, experiment: Experiment) -> str:
    """The source to decode the run's images from again: the recorded place, or CIFAKE_RAY_DATA with the same images.

    Raises InputError when the images are at neither place.
    """
    if _is_there(experiment.data.source):
        return experiment.data.source
    if (place := _from_environment()) is None:
        raise _not_here(run, experiment)
    return run_images(run, experiment, place).source


def _load(run: Run, experiment: Experiment, place: str) -> ImageSet:
    """The images at `place`; for a run of version 0.1, which brought all pictures to 32 pixels, held so."""
    reading, noted = reading_of(experiment.data), read_environment(run).data
    with progress("decoding images") as update:
        images = load_images(place, limit=experiment.data.limit, progress=update, reading=reading)
        known = noted.fingerprint_v2 or noted.fingerprint in {None, "", *images.fingerprints}
        if known or images.side == FIRST_SIDE:
            return images
        held = dataclasses.replace(reading, held=FIRST_SIDE)
        return load_images(place, limit=experiment.data.limit, progress=update, reading=held)


def _checked(run: Run, images: ImageSet) -> ImageSet:
    wanted = noted_fingerprints(run)
    if not wanted or wanted & images.fingerprints:
        return images
    raise InputError(
        f"{images.source}: the images (fingerprint {_short(images.fingerprint)}) are not those of {run.where} "
        f"({_short(min(wanted))})",
        "give those as --data",
    )


def noted_fingerprints(run: Run) -> frozenset[str]:
    """The fingerprints of the images in environment.json, of either kind; none before it is written."""
    data = read_environment(run).data
    return frozenset(one for one in (data.fingerprint, data.fingerprint_v2) if one)


def _from_environment() -> str | None:
    """The value of CIFAKE_RAY_DATA, if the place exists."""
    place = os.environ.get(VARIABLE)
    return place if place and _is_there(place) else None


def _is_there(place: str) -> bool:
    try:
        return place in SAMPLES or is_remote(place) or Path(place).expanduser().exists()
    except (OSError, ValueError, RuntimeError):  # no path at all
        return False


def _cached(run: Run, experiment: Experiment) -> ImageSet | None:
    """The run's images in the cache, whatever their source; None when the entry is missing or damaged."""
    encoding = neutral_name(reading_of(experiment.data))
    for path in _entries(noted_fingerprints(run)):
        entry = read_entry(path)
        if entry is not None and entry.meta.get("neutral", "") == encoding:
            return dataclasses.replace(open_images(path), source=experiment.data.source)
    return None


def _entries(wanted: frozenset[str]) -> Iterator[Path]:
    """The cache entries of train and test images with one of these fingerprints."""
    for note in sorted((cache_root() / KIND).glob(f"*/{META}")) if wanted else ():
        try:
            meta = json.loads(note.read_text())["meta"]
            prints = meta["fingerprints"]
            whole = all(part in prints for part in PARTS)
            if whole and wanted & {set_fingerprint(prints), str(meta.get("fingerprint_v2"))}:
                yield note.parent
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue


def _not_here(run: Run, experiment: Experiment) -> InputError:
    return InputError(
        f"{run.where}: this study's images ({json.dumps(experiment.data.source, ensure_ascii=False)}) are not here",
        "give them as --data",
    )


def _short(fingerprint: str) -> str:
    return f"{fingerprint[:12]}…"

"""A run's own images beside others: whether `--data` names the run's own set, and which images are copies."""

from dataclasses import dataclass, replace

import numpy as np

from cifake_ray.console import progress
from cifake_ray.data import ImageSet, Labelled, Part, check_images_here, copies_among, load_labelled, run_images
from cifake_ray.data.sources.reading import PLAIN, Reading, reading_of
from cifake_ray.data.transform import Transform
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records.store import read_environment
from cifake_ray.runs.run import Run


@dataclass(frozen=True)
class Scored:
    """Images to be scored. `own`: the run's images, None where they are not here; `other`: None for the run's own."""

    part: Part
    own: ImageSet | None
    other: Labelled | None

    def copies(self) -> np.ndarray:
        """bool [n]: which images equal one that the model was trained on; none where that cannot be looked for."""
        if self.own is None:
            return np.zeros(len(self.part), dtype=bool)
        return copies_among(self.part, self.own.train)


def images_to_score(run: Run, source: str | None, transform: Transform, reading: Reading | None = None) -> Scored:
    """The test part of the run's own images, wherever these are now, or the held-out part of the set at `source`.

    transform: of the model that judges.

    Raises InputError when the run's own images are wanted and are not here, or `source` cannot be read.
    """
    experiment = run.experiment()
    if source is None:
        own = run_images(run, experiment)
        return Scored(own.test, own, None)
    if reading is None and (own_set := _as_own(run, experiment, source)) is not None:
        return Scored(own_set.test, own_set, None)
    with progress("decoding images") as update:
        other = load_labelled(
            source, progress=update, reading=_as_trained(reading, experiment), native=transform.native
        )
    if _may_be_own(run, experiment, other):
        try:
            own = run_images(run, experiment, source)
        except InputError:
            return Scored(other.images, _own(run, experiment), other)
        return Scored(own.test, own, None)
    return Scored(other.images, _own(run, experiment), other)


def _as_trained(reading: Reading | None, experiment: Experiment) -> Reading:
    """The reading, or that of the run's class words; pictures are brought to the encoding that the model knows."""
    neutral = reading_of(experiment.data).neutral
    return replace(reading or _class_words(experiment), neutral=neutral.middle() if neutral else None)


def _class_words(experiment: Experiment) -> Reading:
    """The class words of the run's own images, for other images: numbers and parts mean other things elsewhere."""
    own = reading_of(experiment.data)
    return Reading(fake=own.fake, real=own.real)


def _as_own(run: Run, experiment: Experiment, source: str) -> ImageSet | None:
    """The run's own images at `source`, where the experiment says how to read them; None when others are there."""
    if replace(reading_of(experiment.data), neutral=None) == PLAIN:
        return None
    try:
        return run_images(run, experiment, source)
    except InputError:
        return None


def _own(run: Run, experiment: Experiment) -> ImageSet | None:
    try:
        check_images_here(run, experiment)
        return run_images(run, experiment)
    except InputError:
        return None


def _may_be_own(run: Run, experiment: Experiment, other: Labelled) -> bool:
    """Whether the counts are those of the run's test part; a limited run's test part is a part of its source's."""
    if other.part != "test":
        return False
    noted = read_environment(run).data.test
    counts = {label: int((other.images.labels == code).sum()) for code, label in enumerate(LABELS)}
    return experiment.data.limit is not None or noted == counts

"""What a study will cost, before it starts: a short calibration on this machine, then Tune's own scheduler replayed."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import optuna

from cifake_ray.data import ImageSet, Part
from cifake_ray.experiment import Experiment
from cifake_ray.features import distinct_passes, missing_features
from cifake_ray.machine import available_memory, forget_peak_memory, peak_memory
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import family_of
from cifake_ray.storage.cache import free_bytes
from cifake_ray.tuning.disk import disk_use, largest_squares, searched_models
from cifake_ray.tuning.estimate.simulation import replay, replay_retraining
from cifake_ray.tuning.estimate.timing import Pace, time_decoding, time_extraction, time_training
from cifake_ray.tuning.ray_cluster.capacity import Capacity, local_node
from cifake_ray.tuning.space import distributions
from cifake_ray.tuning.squares import degraded_copies
from cifake_ray.tuning.study_inputs import StudyInputs, gather_inputs
from cifake_ray.tuning.warm_start.parents import Parent
from cifake_ray.tuning.warm_start.transfer import Transfer, transfer

RAY_SECONDS = 18.0  # to start the program, open the images and start a Ray of its own; two cores
_DRAWS = 64  # random configurations, of which the mean is expected


@dataclass(frozen=True)
class Timing:
    """One batch size: seconds of an epoch over all training and validation images, and images trained a second."""

    batch_size: int
    seconds_per_epoch: float
    images_per_second: float


@dataclass(frozen=True)
class Plan:
    """Seconds are wall time of this machine, bytes are bytes.

    `tuning_full_s`, `tuning_s`: all trials to their last epoch, and as the scheduler is expected to stop them, which
    runs `epochs_share` of the epochs; `total_s` has the latter. `fits`: None without a time budget. `taken`: what the
    study knows of earlier ones.
    """

    experiment: str
    train_images: int
    validation_images: int
    timings: tuple[Timing, ...]
    seconds_per_epoch: float
    trials: int
    epochs: int
    places: int
    epochs_share: float
    extraction_s: float
    tuning_full_s: float
    tuning_s: float
    retraining_s: float
    test_s: float
    trial_bytes: int
    memory_bytes: int
    available_bytes: int
    cache_bytes: int
    pictures_bytes: int
    squares_bytes: int
    features_bytes: int
    disk_free_bytes: int
    budget_s: float | None
    fits: bool | None
    trials_in_budget: int
    taken: Transfer

    @property
    def total_s(self) -> float:
        return RAY_SECONDS + self.extraction_s + self.tuning_s + self.retraining_s + self.test_s

    @property
    def total_full_s(self) -> float:
        return self.total_s - self.tuning_s + self.tuning_full_s

    def as_dict(self) -> dict[str, Any]:
        figures = {name: value for name, value in asdict(self).items() if name != "taken"}
        totals = {"total_s": self.total_s, "total_full_s": self.total_full_s}
        return figures | totals | {"warm_start": [note.as_json() for note in self.taken.notes]}


def plan_study(experiment: Experiment, parents: Sequence[Parent] = ()) -> Plan:
    """Time a few steps of the experiment's own values and compute the study. Decodes the images; writes no run.

    Raises InputError as the study itself would, before it starts.
    """
    places = Capacity.here(experiment).trials
    inputs = gather_inputs(experiment)
    train, validation = len(inputs.split.train), len(inputs.split.validation)
    forget_peak_memory()  # that of decoding
    paces = [_time_batch(experiment, size, inputs) for size in calibrated_batches(experiment)]
    degraded = degraded_copies(experiment) * validation
    judged = validation + degraded
    epoch_of = epoch_model(paces, train, judged, max(experiment.resources.workers_per_trial, 1))
    sizes = drawn_batches(experiment)
    expected = fmean(map(epoch_of, sizes))
    full, stopped = replay(experiment, places, [epoch_of(size) for size in sizes])
    retrained = replay_retraining(experiment, places, expected)
    extraction, test = _extraction(inputs, degraded)
    trial, shared = _memory(experiment, inputs.images)
    disk = disk_use(experiment, inputs.images, inputs.specs, validation)
    budget = experiment.search.time_budget_s
    return Plan(
        experiment=experiment.name,
        train_images=train,
        validation_images=validation,
        timings=tuple(Timing(p.batch_size, p.epoch(train, judged), p.batch_size / p.step) for p in paces),
        seconds_per_epoch=expected,
        trials=experiment.search.trials,
        epochs=experiment.training.epochs,
        places=places,
        epochs_share=stopped.epochs / full.epochs,
        extraction_s=extraction,
        tuning_full_s=full.seconds,
        tuning_s=stopped.seconds,
        retraining_s=retrained,
        test_s=test + _scoring(experiment, paces[0], len(inputs.images.test)),
        trial_bytes=trial,
        memory_bytes=places * trial + shared,
        available_bytes=available_memory(),
        cache_bytes=disk.total,
        pictures_bytes=disk.pictures,
        squares_bytes=disk.squares,
        features_bytes=disk.features,
        disk_free_bytes=free_bytes(),
        budget_s=budget,
        fits=None if budget is None else stopped.seconds <= budget,
        trials_in_budget=trials_within(experiment, stopped.seconds),
        taken=transfer(parents, experiment, inputs.images.fingerprints),
    )


# --- how long an epoch takes -------------------------------------------------------------------------------------


def calibrated_batches(experiment: Experiment) -> list[int]:
    """The baseline's batch size, then the smallest and the largest that is searched."""
    dimension = experiment.search_space.get("batch_size")
    searched: Any = () if dimension is None else getattr(dimension, "choices", None) or dimension.bounds  # type: ignore[union-attr]
    return list(dict.fromkeys([experiment.training.batch_size, *([min(searched), max(searched)] if searched else [])]))


def _time_batch(experiment: Experiment, size: int, inputs: StudyInputs) -> Pace:
    training = experiment.training.model_copy(update={"batch_size": size})
    return time_training(experiment.model_copy(update={"training": training}), inputs.images.train)


def drawn_batches(experiment: Experiment) -> list[int]:
    """The batch sizes of configurations drawn at random from the search space."""
    space = distributions(experiment)
    if "batch_size" not in space:
        return [experiment.training.batch_size]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [int(study.ask({"batch_size": space["batch_size"]}).params["batch_size"]) for _ in range(_DRAWS)]


def epoch_model(paces: list[Pace], train: int, validation: int, workers: int) -> Callable[[int], float]:
    """Seconds of an epoch by batch size: a step takes a constant and a share for each image, fitted to the paces.

    Workers divide each batch and each evaluation among them; communication between workers is not counted.
    """
    slope, constant = _line([pace.batch_size for pace in paces], [pace.step for pace in paces])
    image = fmean(pace.image for pace in paces)

    def epoch(size: int) -> float:
        step = max(constant + slope * size / workers, 0.0)
        return Pace(size, step, image / workers).epoch(train, validation)

    return epoch


def _line(x: list[int], y: list[float]) -> tuple[float, float]:
    """Slope and constant of the least squares line; one point's line goes through zero."""
    if len(x) == 1:
        return y[0] / x[0], 0.0
    slope, constant = np.polyfit(x, y, 1)
    return float(slope), float(constant)


def trials_within(experiment: Experiment, seconds: float) -> int:
    """How many of the trials the time budget holds, if they take so many seconds together."""
    budget = experiment.search.time_budget_s
    share = 1.0 if budget is None else min(1.0, budget / seconds)
    return int(share * experiment.search.trials)


# --- the rest ----------------------------------------------------------------------------------------------------


def _extraction(inputs: StudyInputs, degraded: int = 0) -> tuple[float, float]:
    """Seconds of extracting what the cache lacks: for all trials, and of the test images for the winner.

    degraded: number of degraded validation pictures, which are counted whether the cache has them or not.
    """
    if not inputs.specs:
        return 0.0, 0.0
    images, first = inputs.images, inputs.specs[0]
    distinct = distinct_passes(images.train, inputs.specs)
    specs, copies = ([spec for spec in distinct if spec.copied == copied] for copied in (False, True))
    tested = [s for s in specs if (s.image_size, s.fit, s.side) == (first.image_size, first.fit, first.side)]
    paces: dict[tuple[Any, ...], float] = {}  # looks at a picture take equally long

    def pace(spec: FeatureSpec) -> float:
        key = (spec.weights, spec.image_size, spec.recipe)
        if key not in paces:
            paces[key] = time_extraction(spec, images.train, _device())
        return paces[key]

    def seconds(part: Part, asked: Sequence[FeatureSpec]) -> float:
        lacking = [spec for spec in asked if missing_features(part, spec)]
        decoding = time_decoding(asked, images.train) if lacking else 0.0
        return len(part) * _together(sum(map(pace, lacking)), decoding)

    copying = seconds(inputs.pictures_of(copies[0]), copies) if copies else 0.0
    judging = _together(degraded * sum(map(pace, specs)), 0.0)
    return seconds(images.train, specs) + copying + judging, seconds(images.test, tested)


def _device() -> str:
    return "cuda" if local_node()["GPU"] else "cpu"


def _together(network: float, decoding: float) -> float:
    """Seconds of an image on this machine: its cores do both, or decode while a GPU does the rest."""
    cores = local_node()["CPU"]
    return max(network, decoding / cores) if _device() == "cuda" else (network + decoding) / cores


def _scoring(experiment: Experiment, pace: Pace, images: int) -> float:
    """Seconds of testing every retrained network, on all cores."""
    networks = 2 * experiment.search.winner_seeds or 1
    cores = local_node()["CPU"] / experiment.resources.cpus_per_trial
    return networks * images * pace.image / cores


def _memory(experiment: Experiment, images: ImageSet) -> tuple[int, int]:
    """Bytes of one trial's process, and of the images or features that all of them map together."""
    if not experiment.model.takes_features:
        return peak_memory(), largest_squares(experiment, images.train)
    return peak_memory(), 2 * widest_features(experiment) * len(images.train)


def widest_features(experiment: Experiment) -> int:
    """The most features of an image, over all of its looks, that a trial may take."""
    return max(family_of(model).width(model) * len(model.looks) for model in searched_models(experiment))

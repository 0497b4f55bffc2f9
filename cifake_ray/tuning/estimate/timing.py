"""How fast this machine is at an experiment: a few training steps, an evaluation and an extraction, timed."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch

from cifake_ray.data import Part
from cifake_ray.data.decoding.decode import decode_squares
from cifake_ray.data.decoding.items import read_item
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.streaming import squares_of
from cifake_ray.data.transform import model_transform
from cifake_ray.experiment import Experiment, Model
from cifake_ray.features import transform_of
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import family_of
from cifake_ray.training.batches import EVALUATION_BATCH, FeatureInputs, ImageInputs, Inputs, TrainingSet, rows_at_once
from cifake_ray.training.extract import batch_images, extract_shard
from cifake_ray.training.fit import Fit, train_epoch
from cifake_ray.training.validation import CLEAN_TRAIN_IMAGES, evaluate

_STEP_SECONDS = 1.5  # of training that are timed for one batch size; 2 steps before them warm up
_STEPS = 4  # that are timed at least
_EVALUATED = 2  # batches of evaluation
_DECODED = 24  # pictures whose decoding is timed
_SHARD_BATCHES = 8  # of images through a backbone


@dataclass(frozen=True)
class Pace:
    """Seconds of one training step of `batch_size` images, and of evaluating one image, on one trial's resources."""

    batch_size: int
    step: float
    image: float

    def epoch(self, train: int, validation: int) -> float:
        """Seconds of an epoch over so many images, with the clean pass over train images after a new best."""
        steps = max(train // self.batch_size, 1)
        return steps * self.step + (validation + min(train, CLEAN_TRAIN_IMAGES)) * self.image


def time_training(experiment: Experiment, part: Part) -> Pace:
    """Train and evaluate the experiment's own values on some of the images, in this process."""
    device = "cuda" if experiment.resources.gpus_per_trial and torch.cuda.is_available() else "cpu"
    size = experiment.training.batch_size
    evaluated = _EVALUATED * _at_once(experiment.model, part)
    data = _some_data(experiment, part, max(_STEPS * size, evaluated), device)
    network = family_of(experiment.model).start(experiment.model)
    work = Fit(network, data, experiment.training, threads=experiment.resources.cpus_per_trial)
    _time_steps(work, 2)
    steps = max(_STEPS, int(_STEP_SECONDS / _time_steps(work, 2)))
    step = _time_steps(work, steps)
    rows = data.validation[:evaluated]
    began = time.perf_counter()
    evaluate(work, rows)
    return Pace(size, step, (time.perf_counter() - began) / len(rows))


def _time_steps(work: Fit, steps: int) -> float:
    """Mean seconds of one of so many steps; the rows are drawn again and again where the set has too few."""
    rows, needed = work.data.validation, steps * work.training.batch_size
    work.data = replace(work.data, train=rows.repeat(-(-needed // len(rows)))[:needed])
    began = time.perf_counter()
    train_epoch(work, work.network, 1)
    return (time.perf_counter() - began) / steps


def _at_once(model: Model, part: Part) -> int:
    if model.takes_features:
        return EVALUATION_BATCH
    return rows_at_once(part.side or model.largest_size)


def _some_data(experiment: Experiment, part: Part, count: int, device: str) -> TrainingSet:
    """So many images, or (the backbone has not run yet) as many made-up features of the right width."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(len(part), generator=generator)[:count]
    labels = torch.from_numpy(part.labels.astype(np.float32))
    inputs: Inputs
    model, family = experiment.model, family_of(experiment.model)
    if model.takes_features:
        features = torch.randn(len(rows), family.width(model), generator=generator).half()
        views = ((features.to(device),),) * len(model.looks)
        inputs, labels, rows = FeatureInputs(views), labels[rows], torch.arange(len(rows))
    else:
        images = _some_images(part, rows, model)
        if part.side is None:
            labels, rows = labels[rows], torch.arange(len(rows))
        inputs = ImageInputs(images.to(device), model.looks, model.fit, model.largest_size)
    rows = rows.to(device)
    return TrainingSet(inputs, labels.to(device), rows, rows, family.prepare(model))


def _some_images(part: Part, rows: torch.Tensor, model: Model) -> torch.Tensor:
    """All images that are held in one small size; of others the squares of these rows."""
    if part.side is not None:
        return torch.from_numpy(part.images)
    return torch.from_numpy(squares_of(part, rows.numpy(), model_transform(model, None)))


def time_extraction(spec: FeatureSpec, part: Part, device: str) -> float:
    """Seconds of one image through the backbone: on one core, as an extraction task takes it, or on a GPU."""
    backbone = spec.build(spec.columns)
    size = batch_images(spec.image_size, device)
    transform = transform_of(spec, part.pixels)
    pixels = part.pixels if transform is None else part.pixels.under(transform)
    images = pixels.batch(slice(_SHARD_BATCHES * size))
    with _one_thread():
        extract_shard(images[:size], backbone, spec, spec.columns, device=device)
        began = time.perf_counter()
        extract_shard(images, backbone, spec, spec.columns, device=device)
        return (time.perf_counter() - began) / len(images)


def time_decoding(specs: Sequence[FeatureSpec], part: Part) -> float:
    """Seconds of decoding one picture on one core for all of these passes; 0 for pictures that are held decoded."""
    pixels = part.pixels
    if not isinstance(pixels, EncodedPixels):
        return 0.0
    rows = np.unique(np.linspace(0, len(pixels) - 1, _DECODED).astype(np.int64))  # all sorts, as far as they are sorted
    transforms = list({transform for spec in specs if (transform := transform_of(spec, pixels)) is not None})
    began = time.perf_counter()
    for item in pixels.items(rows):
        decode_squares(read_item(item), transforms)
    return (time.perf_counter() - began) / len(rows)


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)

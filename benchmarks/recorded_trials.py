"""Real trials on either half of CIFAKE's subjects, recorded once for benchmarks.warm_start; and a pool to replay them.

A line a trial goes to a file in the cache: a scrambled Sobol sequence over the space, the same configurations on both
halves, and four of them with SEEDS seeds, which gives the deviation over seeds.
"""

import json
import time
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import qmc

from cifake_ray.data import load_images, study_split
from cifake_ray.experiment import CategoricalDimension, Dimension, Experiment
from cifake_ray.models.registry import family_of
from cifake_ray.storage.cache import cache_root
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, fit

HALVES = {
    "first": ["airplane", "automobile", "bird", "cat", "deer"],
    "second": ["dog", "frog", "horse", "ship", "truck"],
}
IMAGES, EPOCHS, POINTS, REPEATED, SEEDS, NEAREST = 8_000, 3, 128, 4, 5, 4
TRIALS = 30  # of a replayed study
# The values of the course's report (Adam, batch 32, its learning rate unchanged) and a space around them.
SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 3e-2, "log": True},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128, 256]},
    "head_width": {"type": "int", "low": 16, "high": 256, "log": True},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6},
}


def experiment_of(half: str, seed: int = 0, epochs: int = EPOCHS) -> Experiment:
    """The study of one half: its subjects train and validate, the others are left out."""
    (others,) = (subjects for name, subjects in HALVES.items() if name != half)
    return Experiment.model_validate(
        {
            "name": half,
            "model": {"kind": "cnn", "channels": 16, "head_width": 64},
            "training": {"epochs": epochs, "lr": 1e-3, "batch_size": 32, "optimizer": "adam", "seed": seed},
            "search_space": SPACE,
            "search": {"sampler": "tpe", "trials": TRIALS, "scheduler": "none"},
            "data": {"limit": IMAGES, "val_fraction": 0.4, "leave_out": others},
        }
    )


@cache
def searched() -> dict[str, Dimension]:
    return experiment_of("first").search_space


def pool_file(half: str) -> Path:
    return cache_root() / "benchmarks" / f"warm_start-{half}.jsonl"


def configurations() -> list[dict[str, Any]]:
    """The baseline, then points of the unit cube as configurations."""
    points = qmc.Sobol(len(SPACE), seed=0).random(POINTS)
    found: list[dict[str, Any]] = [dict(experiment_of("first").baseline_params())]
    for point in points:
        params: dict[str, Any] = {}
        for (name, dimension), at in zip(searched().items(), point, strict=True):
            if isinstance(dimension, CategoricalDimension):
                params[name] = dimension.choices[int(at * len(dimension.choices))]
                continue
            low, high = dimension.bounds
            value = low * (high / low) ** at if dimension.log else low + (high - low) * at
            params[name] = round(value) if dimension.type == "int" else float(value)
        found.append(params)
    return found


def planned() -> list[tuple[dict[str, Any], int]]:
    """Four configurations with every seed, then the others with seed 0."""
    everything = configurations()
    repeated = [(params, seed) for params in everything[:REPEATED] for seed in range(SEEDS)]
    return repeated + [(params, 0) for params in everything[REPEATED:]]


def record(source: str) -> None:
    """Append what is missing to the pools, both halves in turn."""
    torch.set_num_threads(1)
    images = load_images(source, limit=IMAGES).train
    pixels, labels = torch.from_numpy(images.images), torch.from_numpy(images.labels).float()
    sets = {}
    for half in HALVES:
        data = experiment_of(half).data
        split = study_split(images, data)
        prepare = family_of(experiment_of(half).model).prepare(experiment_of(half).model)
        rows = (torch.from_numpy(part) for part in (split.train, split.validation))
        sets[half] = TrainingSet(ImageInputs(pixels), labels, *rows, prepare)
        pool_file(half).parent.mkdir(parents=True, exist_ok=True)
    for number, (params, seed) in enumerate(planned()):
        for half, data in sets.items():
            if number < len(lines_of(half)):
                continue
            chosen = experiment_of(half).with_params(params, seed=seed)
            torch.manual_seed(seed)
            began, curve = time.perf_counter(), list[float]()
            work = Fit(family_of(chosen.model).start(chosen.model), data, chosen.training)
            fit(work, lambda row, kept=curve: kept.append(row["val_accuracy"]))
            line = {"params": params, "seed": seed, "curve": curve, "seconds": round(time.perf_counter() - began, 2)}
            with pool_file(half).open("a") as file:
                file.write(json.dumps(line) + "\n")
            print(f"{half} {number + 1} of {len(planned())}: {max(curve):.4f} in {line['seconds']} s", flush=True)


def lines_of(half: str) -> list[dict[str, Any]]:
    file = pool_file(half)
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


@dataclass(frozen=True, eq=False)
class Pool:
    """Recorded configurations in the unit cube, float [n, d], and the best validation accuracy of each, float [n]."""

    points: np.ndarray
    values: np.ndarray
    deviation: float

    @classmethod
    def of(cls, half: str) -> "Pool":
        lines = lines_of(half)
        if len(lines) <= REPEATED * SEEDS + NEAREST:
            raise SystemExit(f"{pool_file(half)}: {len(lines)} of {len(planned())} trials; first --record them")
        first = [line for line in lines if line["seed"] == 0]
        again = [[max(line["curve"]) for line in lines if line["params"] == one["params"]] for one in first[:REPEATED]]
        deviation = float(np.std(max(again, key=np.mean), ddof=1))  # of the best: others may hardly learn
        return cls(np.array([unit(line["params"]) for line in first]),
                   np.array([max(line["curve"]) for line in first]), deviation)  # fmt: skip

    def shuffled(self, seed: int) -> "Pool":
        """The same values at other configurations: a task that has nothing to do with this one."""
        return Pool(self.points, np.random.default_rng(seed).permutation(self.values), self.deviation)

    @cached_property
    def opposite(self) -> "Pool":
        """A task whose best configurations are the worst ones of this one."""
        return Pool(self.points, self.values.max() + self.values.min() - self.values, self.deviation)

    def accuracy(self, params: dict[str, Any], noise: np.random.Generator) -> float:
        distances = np.linalg.norm(self.points - unit(params), axis=1)
        near = np.argsort(distances)[:NEAREST]
        weights = 1 / (distances[near] + 1e-3)
        return float(weights @ self.values[near] / weights.sum() + noise.normal(0, self.deviation))


def unit(params: dict[str, Any]) -> np.ndarray:
    """The configuration in the unit cube, float [d]; choices in their order."""
    found = []
    for name, dimension in searched().items():
        value = params[name]
        if isinstance(dimension, CategoricalDimension):
            found.append(dimension.choices.index(value) / (len(dimension.choices) - 1))
            continue
        low, high = dimension.bounds
        found.append(np.log(value / low) / np.log(high / low) if dimension.log else (value - low) / (high - low))
    return np.array(found)

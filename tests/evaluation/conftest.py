"""Runs as a study leaves them before the test part is touched: real checkpoints of tiny models, made without Ray."""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.data import load_images, split_train
from cifake_ray.evaluation.testing import score_winners
from cifake_ray.experiment import Experiment
from cifake_ray.features import ensure_features
from cifake_ray.models.registry import family_of
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.tuning.retraining import Retraining, note_winners
from cifake_ray.tuning.trial.context import TrialContext
from cifake_ray.tuning.trial.loop import run_trial

Settings = dict[str, Any]
CNN: Settings = {"kind": "cnn", "channels": 4, "head_width": 8}
RESNET: Settings = {
    "kind": "resnet50",
    "weights": "random",
    "image_size": 32,
    "stages": ["stem"],
    "views": ["identity", "flip"],
    "head_width": 8,
}
TUNED: Settings = {
    "kind": "resnet18",
    "weights": "random",
    "image_size": 32,
    "stages": ["stem"],
    "trainable": "all",
    "head_width": 8,
}


@dataclass(frozen=True)
class Made:
    """A run with winners.json, the same one scored, and the cache that its images lie in."""

    run: Run
    scored: Run
    cache: Path


def make_run(folder: Path, model: dict[str, Any], seeds: Sequence[int] = (1, 2, 3)) -> Run:
    """Winner (another head) and baseline, an epoch each with every seed, on 100 images; 100 are for validation."""
    experiment = Experiment.model_validate(
        {"name": model["kind"], "model": model, "training": {"epochs": 1, "batch_size": 16, "precision": "fp32"},
         "search_space": {"head_width": {"type": "int", "low": 8, "high": 16}},
         "data": {"limit": 200, "val_fraction": 0.5}}
    )  # fmt: skip
    run = create_run(folder, experiment.name, experiment)
    images = load_images("sample", limit=200)
    specs = family_of(experiment.model).passes(experiment)
    features = {found.spec.key: found for found in ensure_features(images.train, specs)}
    context = TrialContext(experiment, run, images.path, split_train(images.train, 0.5, 0), features)
    about = {"fingerprint": images.fingerprint, "generated": True}
    run.environment_file.write_text(json.dumps({"data": about}))
    roles = (("tuned", 3, {"head_width": 12}), ("baseline", 0, {"head_width": 8}))
    plan = [Retraining(role, trial, params, seed) for seed in seeds for role, trial, params in roles]
    reported: list[dict[str, Any]] = []
    for retraining in plan:
        run_trial(context, retraining.config(), reported.append)
    assert not [row for row in reported if "failed" in row]
    note_winners(run, plan, {}, 1)
    return run


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Made]]:
    """A CNN's run, a frozen ResNet50's and a fine-tuned ResNet18's, each trained once for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("cache")
        patch.setenv("CIFAKE_RAY_CACHE", str(cache))
        folder = tmp_path_factory.mktemp("runs")
        runs = {model["kind"]: make_run(folder, model) for model in (CNN, RESNET)}
        runs["resnet18"] = make_run(folder, TUNED, seeds=(1,))
        scored = {kind: Run(shutil.copytree(run.path, folder / "scored" / kind)) for kind, run in runs.items()}
        for run in scored.values():
            score_winners(run)
        yield {kind: Made(run, scored[kind], cache) for kind, run in runs.items()}


@pytest.fixture
def copy_of(made_once: dict[str, Made], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """copy_of(kind): a test's own copy of the run of that model, on demand as score_winners left it."""

    def copy(kind: str, *, scored: bool = False) -> Run:
        made = made_once[kind]
        monkeypatch.setenv("CIFAKE_RAY_CACHE", str(made.cache))
        return Run(shutil.copytree((made.scored if scored else made.run).path, tmp_path / kind))

    return copy

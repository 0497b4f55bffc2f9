"""Run directories as tuning and evaluation write them, with known numbers; half-finished ones by leaving parts out."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cifake_ray.data.datasets.cifake import CARD
from cifake_ray.experiment import Experiment, save_experiment
from cifake_ray.reporting.verify import METRICS
from cifake_ray.runs.columns import CURVE_COLUMNS, trial_columns
from cifake_ray.stats.intervals import wilson

CNN_SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "batch_size": {"type": "categorical", "choices": [32, 64, 128, 256]},
    "head_width": {"type": "int", "low": 32, "high": 512, "log": True},
}
RESNET_SPACE = {
    "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
    "stages": {"type": "categorical", "choices": [["stem", "layer1", "layer2"], ["layer1"], ["layer2"]]},
    "dropout": {"type": "float", "low": 0.0, "high": 0.6, "step": 0.1},
}
MakeRun = Callable[..., Path]


def experiment_of(kind: str = "cnn", source: str = "sample", epochs: int = 6, trials: int = 12) -> Experiment:
    space = CNN_SPACE if kind == "cnn" else RESNET_SPACE
    return Experiment.model_validate(
        {"name": kind, "model": {"kind": kind}, "search_space": space, "training": {"epochs": epochs},
         "search": {"trials": trials}, "data": {"source": source}}
    )  # fmt: skip


def environment_of(source: str = "cifake.parquet", generated: bool = False) -> dict[str, Any]:
    return {
        "schema": 1,
        "created": "2026-11-22T19:30:00+00:00",
        "command": "cifake-ray tune search_spaces/cnn.yaml --trials 12",
        "versions": {"python": "3.11.7", "ray": "2.60.0", "torch": "2.15.0", "optuna": "5.0.0", "cifake_ray": "0.1.0"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        "hardware": [{"node": "local", "cpus": 2, "cpu_model": "AMD EPYC", "gpus": [], "memory_gib": 23.5}],
        "data": {
            "source": "sample" if generated else source,
            "kind": "sample" if generated else "parquet",
            "generated": generated,
            "fingerprint": "1a2b3c4d" * 8 if generated else min(CARD.fingerprints),
            "train": {"FAKE": 50_000, "REAL": 50_000},
            "test": {"FAKE": 10_000, "REAL": 10_000},
            "split": {"train": 80_000, "validation": 20_000},
            "duplicates_in_test": 378,
            "skipped": [{"name": "broken.jpg", "reason": "not an image"}],
            "converted": {"grey to RGB": 3},
        },
        "weights": None,
        "features": None,
        "seeds": {"training": 0, "split": 0},
        "max_concurrent": 2,
        "seconds": 812.0,
    }


def curve_of(top: float, epochs: int) -> list[dict[str, float]]:
    """A learning curve that reaches validation accuracy `top` and flattens."""
    rows = []
    for epoch in range(1, epochs + 1):
        val = top - 0.15 * math.exp(-0.9 * epoch)
        rows.append(
            {"epoch": epoch, "train_loss": 0.6 * math.exp(-0.4 * epoch), "train_accuracy": val - 0.01 + 0.004 * epoch,
             "val_loss": 1.2 * (1 - val) + 0.05, "val_accuracy": val, "learning_rate": 1e-3 / epoch, "seconds": 3.2}
        )  # fmt: skip
    return rows


def trial_row(experiment: Experiment, trial_id: int, rng: np.random.Generator) -> dict[str, Any]:
    params: dict[str, Any] = experiment.baseline_params()
    if trial_id:
        for name, dimension in experiment.search_space.items():
            if dimension.type == "categorical":
                params[name] = dimension.choices[int(rng.integers(len(dimension.choices)))]
            else:
                low, high = dimension.bounds
                value = (
                    float(np.exp(rng.uniform(np.log(low), np.log(high)))) if dimension.log else rng.uniform(low, high)
                )
                params[name] = round(value) if dimension.type == "int" else value
    val = 0.93 + 0.02 * float(rng.random()) if trial_id else 0.93
    status = "completed" if trial_id % 3 == 0 else "stopped"
    epochs = experiment.training.epochs if status == "completed" else 1 + trial_id % 3
    return {"trial_id": trial_id, "status": status, **params, "epochs": epochs, "best_epoch": epochs,
            "train_accuracy": val + 0.015, "val_accuracy": val, "val_loss": 1 - val, "seconds": 20.0 * epochs,
            "cpu_seconds": 10.0, "error": ""}  # fmt: skip


def write_trials(run: Path, experiment: Experiment, trials: list[dict[str, Any]]) -> None:
    pd.DataFrame(trials, columns=trial_columns(list(experiment.search_space))).to_csv(run / "trials.csv", index=False)


def write_curves(run: Path, trials: list[dict[str, Any]]) -> None:
    rows = [
        {"trial_id": trial["trial_id"], **epoch}
        for trial in trials
        if trial["status"] != "failed"
        for epoch in curve_of(trial["val_accuracy"], int(trial["epochs"]))
    ]
    pd.DataFrame(rows, columns=list(CURVE_COLUMNS)).to_csv(run / "curves.csv", index=False)


def scores(accuracy: float) -> dict[str, dict[str, float]]:
    values = {"accuracy": accuracy, "auc": 0.99, "f1_fake": accuracy - 0.001, "ece": 0.012}
    return {key: {"value": value, "low": value - 0.003, "high": value + 0.003} for key, value in values.items()}


def winner_of(role: str, trial: dict[str, Any], names: list[str], weights: str, accuracy: float) -> dict[str, Any]:
    def measured(shift: float) -> dict[str, Any]:
        return {"train_accuracy": accuracy + 0.018 + shift, "val_accuracy": accuracy + shift, "val_loss": 0.1,
                "test": scores(accuracy + 0.001 + shift), "test_dedup": scores(accuracy + shift)}  # fmt: skip

    seeds = [
        {"seed": seed, "best_epoch": 5, **measured(shift), "curve": curve_of(accuracy + shift, 6)}
        for seed, shift in ((1, -0.002), (2, 0.0), (3, 0.002))
    ]
    return {"role": role, "trial_id": trial["trial_id"], "params": {name: trial[name] for name in names},
            "params_trained": 141_409, "params_total": 141_409, "weights": weights, "epochs": 6, "seconds": 60.0,
            "cpu_seconds": 55.0, "seeds": seeds, "mean": measured(0.0)}  # fmt: skip


def tested(experiment: Experiment, trials: list[dict[str, Any]], weights: str) -> dict[str, Any]:
    best = max((t for t in trials if t["status"] != "failed"), key=lambda trial: trial["val_accuracy"])
    names = list(experiment.search_space)
    return {
        "schema": 1, "positive_class": "FAKE", "method": "Wilson intervals; bootstrap for AUC and F1",
        "test_images": 20_000, "duplicates_removed": 378,
        "winners": [
            winner_of("tuned", best, names, weights, 0.95),
            *([winner_of("baseline", trials[0], names, weights, 0.94)] if best["trial_id"] else []),
        ],
    }  # fmt: skip


def write_timeline(run: Path, trials: list[dict[str, Any]]) -> None:
    """Two slots, one trial after another in each, 10 s and more a trial."""
    free, lines = [0.0, 0.0], ["trial_id,start,end"]
    for trial in trials:
        place = int(np.argmin(free))
        end = free[place] + 10 + trial["trial_id"] % 3
        lines.append(f"{trial['trial_id']},{free[place]},{end}")
        free[place] = end
    (run / "timeline.csv").write_text("\n".join(lines) + "\n")


def write_predictions(run: Path, images: int = 400, better: float = 0.0) -> None:
    """Half FAKE; the baseline errs in every tenth, the tuned model in `better` fewer of these; 8 duplicates."""
    labels = np.repeat(np.array([0, 1], np.uint8), images // 2)
    names = np.array([f"{i:04d}{('', ' (3)')[i % 2]}.jpg" for i in range(images)])
    wrong = np.arange(images) % 10 == 0
    arrays = {"labels": labels, "names": names, "duplicate": np.arange(images) < 8,
              "subject": np.where(np.arange(images) % 2, 3, 1).astype(np.uint8)}  # fmt: skip
    for seed in (1, 2, 3):
        sure = np.linspace(0.7, 0.99, images) - 0.01 * seed
        kept = wrong & (np.arange(images) < (1 - better) * images)
        for role, errors in (("tuned", kept), ("baseline", wrong)):
            arrays[f"{role}_{seed}"] = np.where((labels == 0) ^ errors, sure, 1 - sure).astype(np.float32)
    store_predictions(run, arrays)


def store_predictions(run: Path, arrays: dict[str, Any]) -> None:
    """test_predictions.npz, and in test.json, where it is written, the scores that follow from it."""
    np.savez_compressed(run / "test_predictions.npz", **arrays)
    if (run / "test.json").is_file():
        test = json.loads((run / "test.json").read_text())
        (run / "test.json").write_text(json.dumps(rescored(test, arrays)))


def rescored(test: dict[str, Any], arrays: dict[str, Any]) -> dict[str, Any]:
    """test.json with the scores of these predictions; the intervals of all but accuracy are made up."""
    fresh = ~arrays["duplicate"]
    for winner in test["winners"]:
        for part, rows in (("test", np.ones_like(fresh)), ("test_dedup", fresh)):
            found = [
                {name: metric(arrays["labels"][rows], arrays[f"{winner['role']}_{seed['seed']}"][rows])
                 for name, metric in METRICS.items()}
                for seed in winner["seeds"]
            ]  # fmt: skip
            for seed, values in zip(winner["seeds"], found, strict=True):
                seed[part] = _limited(values, int(rows.sum()))
            mean = {name: float(np.mean([values[name] for values in found])) for name in METRICS}
            winner["mean"][part] = _limited(mean, int(rows.sum()))
    return test | {"test_images": len(fresh), "duplicates_removed": int((~fresh).sum())}


def _limited(values: dict[str, float], images: int) -> dict[str, dict[str, float]]:
    limits = {name: wilson(value, images) for name, value in values.items() if name != "balanced_accuracy"}
    return {name: {"value": values[name], "low": low, "high": high} for name, (low, high) in limits.items()}


def robustness_of(accuracies: dict[str, float]) -> dict[str, Any]:
    """What `evaluate --robustness` writes, with these accuracies by name."""
    rows = [
        {"kind": "clean" if name == "as they are" else "blur", "strength": None, "name": name, "images": 392,
         "accuracy": {"value": value, "low": value - 0.02, "high": value + 0.02}, "auc": 0.9,
         "recognised_FAKE": value, "recognised_REAL": value}
        for name, value in accuracies.items()
    ]  # fmt: skip
    return {"schema": 1, "test_images": 392, "threshold": {"value": 0.48}, "rows": rows}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """`make_run(name, parts=…)` writes a run directory; `parts` names the files that are there already."""
    return make_run_in(tmp_path)


def make_run_in(folder: Path) -> MakeRun:
    def make(
        name: str = "cnn",
        kind: str = "cnn",
        *,
        trials: int = 12,
        generated: bool = False,
        weights: str = "none",
        epochs: int = 6,
        parts: str = "environment trials curves timeline test predictions",
        change: Callable[[list[dict[str, Any]]], None] | None = None,
    ) -> Path:
        run = folder / "runs" / name
        run.mkdir(parents=True)
        experiment = experiment_of(kind, "sample" if generated else "cifake.parquet", epochs)
        rng = np.random.default_rng(0)
        rows = [trial_row(experiment, i, rng) for i in range(trials)]
        if change:
            change(rows)
        (run / "experiment.yaml").write_text(save_experiment(experiment))
        if "environment" in parts:
            (run / "environment.json").write_text(json.dumps(environment_of(generated=generated)))
        if "trials" in parts:
            write_trials(run, experiment, rows)
        if "curves" in parts:
            write_curves(run, rows)
        if "timeline" in parts:
            write_timeline(run, rows)
        if "test" in parts.split():
            (run / "test.json").write_text(json.dumps(tested(experiment, rows, weights)))
        if "predictions" in parts:
            write_predictions(run, better=0.5)
        return run

    return make

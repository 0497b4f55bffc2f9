"""2 and 12: whole studies of `cnn`: the share of the machine that trains, and plain Optuna on the same cores.

    python -m benchmarks.studies [--runs 5] [--images 10000] [--epochs 9]

Generated pictures in a parquet file. The same 20 configurations, the points of a grid, are trained on both sides by the
same loop, start-up included; plain Optuna runs one process a core over one journal.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from PIL import Image

from benchmarks.pairs import HEADER, OTHER, OURS, RUNS, Row, alternate, compared, shown

GRID = {"lr": [3e-4, 1e-3, 3e-3, 1e-2, 2e-2], "batch_size": [128, 256], "head_width": [32, 64]}
EPOCHS = 9  # those of search_spaces/cnn.yaml
LEARNT = 0.9  # validation accuracy
CORES = len(os.sched_getaffinity(0))


def write_pictures(file: Path, images: int) -> None:
    """Smooth and rough noise, half each, as parquet with the columns `image`, `label`, `name`; a fifth more to test."""
    draw = np.random.default_rng(0)
    for part, count in (("train", images), ("test", images // 5)):
        rows = []
        for number in range(count):
            small = Image.fromarray(draw.integers(0, 256, (8 + 8 * (number % 2),) * 2 + (3,), dtype=np.uint8))
            stream = io.BytesIO()
            small.resize((32, 32), Image.Resampling.BICUBIC).save(stream, "JPEG", quality=75)
            rows.append({"image": stream.getvalue(), "label": number % 2, "name": f"{number:06}.jpg"})
        pd.DataFrame(rows).to_parquet(file / f"cifake-{part}-00000-of-00001.parquet")


def experiment(data: Path, epochs: int) -> dict[str, object]:
    space = {name: {"type": "categorical", "choices": choices} for name, choices in GRID.items()}
    return {
        "name": "grid",
        "model": {"kind": "cnn", "head_width": 64},
        "training": {"epochs": epochs, "lr": 1e-3, "batch_size": 128, "augment": ["flip"]},
        "search_space": space,
        "search": {"sampler": "grid", "trials": 20, "scheduler": "none", "winner_seeds": 0},
        "data": {"source": str(data)},
    }


def check_same(side: str, accuracies: Sequence[float]) -> None:
    """Exit when a side did not train 20 networks that learnt what these easy pictures teach."""
    if len(accuracies) != 20 or min(accuracies) < LEARNT:
        raise SystemExit(f"{side}: {len(accuracies)} trials, the worst at {min(accuracies, default=0):.3f}")


def ours(folder: Path, shares: list[float]) -> float:
    """Seconds of `cifake-ray tune`; notes the share of all cores' time that trials spent in their epochs."""
    with tempfile.TemporaryDirectory() as storage:
        began = time.perf_counter()
        command = [sys.executable, "-m", "cifake_ray", "tune", str(folder / "grid.yaml"), "--storage", storage]
        subprocess.run(command, check=True, capture_output=True)
        seconds = time.perf_counter() - began
        trials = pd.read_csv(Path(storage) / "grid" / "trials.csv")
    check_same("cifake-ray", trials.loc[trials["status"] == "completed", "val_accuracy"].tolist())
    shares.append(trials["cpu_seconds"].sum() / (seconds * CORES))
    return seconds


def plain_optuna(folder: Path) -> float:
    """Seconds of one process a core that run the same grid with optuna's own loop over one journal."""
    with tempfile.TemporaryDirectory() as storage:
        began = time.perf_counter()
        command = [sys.executable, "-m", "benchmarks.plain_optuna", str(folder / "grid.yaml"), f"{storage}/journal"]
        for worker in [subprocess.Popen(command) for _ in range(CORES)]:
            if worker.wait():
                raise SystemExit("plain Optuna failed")
        seconds = time.perf_counter() - began
        study = optuna.load_study(study_name="grid", storage=JournalStorage(JournalFileBackend(f"{storage}/journal")))
        check_same("plain Optuna", [trial.value for trial in study.trials if trial.state.name == "COMPLETE"])
        return seconds


def compare(runs: int = RUNS, images: int = 10_000, epochs: int = EPOCHS) -> list[Row]:
    shares: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, images)
        (folder / "grid.yaml").write_text(yaml.safe_dump(experiment(folder, epochs)))
        found = alternate(
            {OURS: partial(ours, folder, shares), OTHER: partial(plain_optuna, folder)}, runs, warm_up=False
        )
    share, goal = statistics.median(shares), 0.95 if images >= 80_000 else 0.9
    what = f"20 trials of `cnn`, {epochs} epochs of {images:,} images"
    return [
        Row(
            2,
            f"{what}: share of {CORES} cores' time in epochs",
            shown(shares, ""),
            "",
            "",
            f"{goal}",
            share >= goal,
        ),
        compared(12, f"{what}, against plain Optuna in {CORES} processes", found, "s", 1, rate=False),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args(arguments)
    print(HEADER, flush=True)
    for row in compare(options.runs, options.images, options.epochs):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()

"""3: a study of a frozen ResNet50, against the same trials with the backbone in the loop, as notebooks have it.

    python -m benchmarks.frozen [--runs 5] [--images 20000]

20 trials of 10 epochs at 64 px, stages up to layer2, random weights (they cost what trained ones do), generated
pictures. One trial's epoch of the other side is measured and taken 200 times. A cost is seconds times cores.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import pandas as pd
import torch
import yaml
from torch.nn.functional import binary_cross_entropy_with_logits

from benchmarks.extraction import STAGES, check_same, pooled, torchvision_network
from benchmarks.pairs import HEADER, OTHER, OURS, RUNS, Row, alternate, compared
from benchmarks.studies import CORES, write_pictures
from cifake_ray.data import load_images
from cifake_ray.models.head import Head

TRIALS, EPOCHS, SIZE, FEATURES, WIDTH, BATCH = 20, 10, 64, 1664, 256, 128
EXPERIMENT = {
    "name": "frozen",
    "model": {"kind": "resnet50", "weights": "random", "image_size": SIZE, "stages": list(STAGES),
              "pool": ["mean", "std"], "head_width": WIDTH},
    "training": {"epochs": EPOCHS, "lr": 1e-3, "batch_size": BATCH},
    "search_space": {
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"type": "categorical", "choices": [64, 128, 256]},
        "head_width": {"type": "int", "low": 32, "high": 512, "log": True},
    },
    "search": {"trials": TRIALS, "scheduler": "none", "winner_seeds": 0},
}  # fmt: skip


def tune(folder: Path, cache: Path, name: str) -> tuple[float, int]:
    """Core-seconds of `cifake-ray tune`, its start included, and how many images went through the backbone."""
    command = [sys.executable, "-m", "cifake_ray", "tune", str(folder / "frozen.yaml"), "--name", name]
    began = time.perf_counter()
    environment = os.environ | {"CIFAKE_RAY_CACHE": str(cache)}
    subprocess.run([*command, "--storage", str(cache)], env=environment, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    ended = pd.read_csv(cache / name / "trials.csv")["status"].value_counts().to_dict()
    if ended != {"completed": TRIALS}:
        raise SystemExit(f"trials ended as {ended}")
    spent = json.loads((cache / name / "environment.json").read_text()).get("features") or {"extracted": 0}
    return seconds * CORES, spent["extracted"]


def ours(folder: Path) -> float:
    """Core-seconds of a study with an empty cache."""
    with tempfile.TemporaryDirectory() as cache:
        return tune(folder, Path(cache), "first")[0]


def passes(folder: Path) -> list[int]:
    """Images that went through the backbone in a study, and in a second one with the same cache."""
    with tempfile.TemporaryDirectory() as cache:
        return [tune(folder, Path(cache), name)[1] for name in ("first", "second")]


def in_loop(images: torch.Tensor, labels: torch.Tensor) -> float:
    """Core-seconds of all trials' epochs, from one: the frozen network on every batch, four fifths are trained on."""
    torch.set_num_threads(CORES)
    net, head, kept = torchvision_network(), Head(FEATURES, WIDTH), len(images) * 4 // 5
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    began = time.perf_counter()
    for start in range(0, len(images), BATCH):
        with torch.no_grad():
            features = pooled(net, images[start : start + BATCH], SIZE)
        logits = head.train(start < kept)(features)
        if start < kept:
            optimizer.zero_grad()
            binary_cross_entropy_with_logits(logits, labels[start : start + BATCH]).backward()
            optimizer.step()
    return (time.perf_counter() - began) * CORES * TRIALS * EPOCHS


def compare(runs: int = RUNS, images: int = 20_000) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, images)
        (folder / "frozen.yaml").write_text(yaml.safe_dump(EXPERIMENT | {"data": {"source": name}}))
        part = load_images(name).train
        check_same(part.images[:64], SIZE)
        pixels, labels = torch.from_numpy(part.images.copy()), torch.from_numpy(part.labels.copy()).float()
        sides = {OURS: partial(ours, folder), OTHER: partial(in_loop, pixels, labels)}
        found = alternate(sides, runs, warm_up=False)
        first, second = passes(folder)
    what = f"{TRIALS} trials of {EPOCHS} epochs on a frozen ResNet50, {images:,} images at {SIZE} px"
    return [
        compared(3, f"{what} (the other side: one epoch, times {TRIALS * EPOCHS})", found, "core-s", 100, rate=False),
        Row(3, "backbone passes of that study, and of a second one", f"{first:,} and {second:,} images", "", "",
            "0 in the second", second == 0),
    ]  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--images", type=int, default=20_000)
    options = parser.parse_args()
    print(HEADER, flush=True)
    for row in compare(options.runs, options.images):
        print(row.line(), flush=True)

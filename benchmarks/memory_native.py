"""Memory that is not file cache, in a study on pictures of any size: under 4 GB on 12 GB of pixels, flat over epochs.

    python -m benchmarks.memory_native [--gigabytes 12.6] [--epochs 2] [--side 128]

JPEGs of 512 px, a `cnn` on squares of 128 px that each epoch draws anew from them (`window`): the memory-mapped array
of 512 px has so many gigabytes. `--side 512` trains on the whole pictures, which takes ten times as long. Private pages
and dirty shared ones of all processes of the study (/proc/PID/smaps_rollup) are summed every half second. Pages of the
array that were read are clean and shared, and the kernel drops them when memory is wanted.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from benchmarks.decoding_native import write_natives
from benchmarks.memory import family, megabytes
from benchmarks.pairs import HEADER, Row
from cifake_ray.storage.cache import free_bytes

HELD, SIDE, GIGABYTES, MOST = 512, 128, 12.6, 4000.0  # MOST: megabytes
PICTURE = HELD * HELD * 3
SCENES = 64
DIRTY = ("Private_Clean", "Private_Dirty", "Shared_Dirty")


def write_shifted(folder: Path, count: int) -> None:
    """So many JPEGs in two classes, no two alike: scenes of `write_natives`, shifted around their edges."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        write_natives(Path(name), SCENES, side=HELD)
        scenes = [np.asarray(Image.open(file)) for file in sorted(Path(name).rglob("*.jpg"))]
    shifts = rng.choice(HELD * HELD, count, replace=False)
    for number, shift in enumerate(shifts.tolist()):
        file = folder / "train" / ("FAKE", "REAL")[number % 2] / f"{number:05}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.roll(scenes[number % SCENES], divmod(shift, HELD), axis=(0, 1))
        Image.fromarray(pixels).save(file, quality=90)


def experiment(source: str, epochs: int, side: int) -> dict[str, object]:
    windows = {"augment": ["window"]} if side < HELD else {}
    return {
        "name": "native",
        "model": {"kind": "cnn", "channels": 8, "head_width": 16, "image_size": side, "fit": "crop"},
        "training": {"epochs": epochs, "lr": 1e-3, "batch_size": 32, **windows},
        "search": {"trials": 1, "scheduler": "none", "winner_seeds": 0},
        "data": {"source": source, **({"store_side": HELD} if windows else {})},
    }


def watch(command: Sequence[str], epochs_file: Path) -> list[tuple[float, int]]:
    """(megabytes, epochs recorded) at each look; exits when the command fails."""
    found = []
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    while driver.poll() is None:
        size = sum(megabytes(pid, *DIRTY) for pid in family(driver.pid))
        found.append((size, _epochs(epochs_file)))
        time.sleep(0.5)
    if driver.returncode:
        said = driver.stderr.read() if driver.stderr else ""
        raise SystemExit(f"{' '.join(command)} ended with {driver.returncode}: {said[-500:]}")
    return found


def _epochs(file: Path) -> int:
    try:
        return int(pd.read_csv(file)["epochs"].fillna(0).max())
    except (OSError, ValueError, KeyError, pd.errors.EmptyDataError):
        return 0


def measured(gigabytes: float, epochs: int, side: int) -> Row:
    count = round(gigabytes * 1e9 / PICTURE)
    needed = count * (PICTURE + 2 * 110_000)  # the array, the files, the packed files
    if needed * 1.1 > free_bytes():
        raise SystemExit(f"{needed / 1e9:.0f} GB are needed, {free_bytes() / 1e9:.0f} GB are free")
    folder = Path(tempfile.mkdtemp())
    try:
        write_shifted(folder, count)
        write_natives(folder, 40, ("test",))
        (folder / "native.yaml").write_text(yaml.safe_dump(experiment(str(folder), epochs, side)))
        command = [sys.executable, "-m", "cifake_ray", "train", str(folder / "native.yaml"), "--storage", str(folder)]
        found = watch([*command, "--name", "native"], folder / "native" / "trials.csv")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = max(size for size, _ in found)
    each = [max((size for size, done in found if done == epoch), default=0.0) for epoch in range(epochs + 1)]
    said = f"{peak:,.0f} MB at most; by epochs recorded {', '.join(f'{size:,.0f}' for size in each)}"
    what = f"memory that is not file cache, `cnn` at {side} px on {gigabytes:g} GB of pixels, {epochs} epochs"
    return Row("memory", what, said, "", "", f"under {MOST:,.0f} MB", peak < MOST)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=GIGABYTES)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--side", type=int, default=SIDE)
    options = parser.parse_args(arguments)
    print(HEADER, flush=True)
    print(measured(options.gigabytes, options.epochs, options.side).line(), flush=True)


if __name__ == "__main__":
    main()

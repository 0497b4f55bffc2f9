"""Memory that is not file cache, in a study on pictures of any size: under 4 GB on 12 GB of pixels, flat over epochs.

    python -m benchmarks.memory_native [--gigabytes 12.6] [--epochs 2]

JPEGs of 512 px, a `cnn` on crops of 512 px: the memory-mapped array has so many gigabytes. Private pages and dirty
shared ones of all processes of the study (/proc/PID/smaps_rollup) are summed every half second. Pages of the array that
were read are clean and shared, and the kernel drops them when memory is wanted.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.decoding_native import write_natives
from benchmarks.memory import family, megabytes
from benchmarks.pairs import HEADER, Row
from cifake_ray.storage.cache import free_bytes

SIDE, GIGABYTES, MOST = 512, 12.6, 4000.0  # MOST: megabytes
PICTURE = SIDE * SIDE * 3
DIRTY = ("Private_Clean", "Private_Dirty", "Shared_Dirty")


def experiment(source: str, epochs: int) -> dict[str, object]:
    return {
        "name": "native",
        "model": {"kind": "cnn", "channels": 8, "head_width": 16, "image_size": SIDE, "fit": "crop"},
        "training": {"epochs": epochs, "lr": 1e-3, "batch_size": 32},
        "search": {"trials": 1, "scheduler": "none", "winner_seeds": 0},
        "data": {"source": source},
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


def measured(gigabytes: float, epochs: int) -> Row:
    count = round(gigabytes * 1e9 / PICTURE)
    needed = count * (PICTURE + 2 * 110_000)  # the array, the files, the packed files
    if needed * 1.1 > free_bytes():
        raise SystemExit(f"{needed / 1e9:.0f} GB are needed, {free_bytes() / 1e9:.0f} GB are free")
    folder = Path(tempfile.mkdtemp())
    try:
        write_natives(folder, count)
        write_natives(folder, 40, ("test",))
        (folder / "native.yaml").write_text(yaml.safe_dump(experiment(str(folder), epochs)))
        command = [sys.executable, "-m", "cifake_ray", "train", str(folder / "native.yaml"), "--storage", str(folder)]
        found = watch([*command, "--name", "native"], folder / "native" / "trials.csv")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    peak = max(size for size, _ in found)
    each = [max((size for size, done in found if done == epoch), default=0.0) for epoch in range(epochs + 1)]
    said = f"{peak:,.0f} MB at most; by epochs recorded {', '.join(f'{size:,.0f}' for size in each)}"
    what = f"memory that is not file cache, `cnn` on {gigabytes:g} GB of crops of {SIDE} px"
    return Row("memory", what, said, "", "", f"under {MOST:,.0f} MB", peak < MOST)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=GIGABYTES)
    parser.add_argument("--epochs", type=int, default=2)
    options = parser.parse_args(arguments)
    print(HEADER, flush=True)
    print(measured(options.gigabytes, options.epochs).line(), flush=True)


if __name__ == "__main__":
    main()

"""11: how long until something is seen: `--help`, and `tune` on the sample to its first epoch.

python -m benchmarks.start [--runs 5]
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.pairs import RUNS, Row, measure, shown

COMMAND = [sys.executable, "-m", "cifake_ray"]
SMALL = ("--trials", "1", "--set", "training.epochs=1", "--set", "search.winner_seeds=0", "--set", "data.limit=240")
LIMIT = 300.0  # seconds


def help_text() -> float:
    began = time.perf_counter()
    subprocess.run([*COMMAND, "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def first_epoch() -> float:
    """Seconds from the command to the first epoch in the study's journal."""
    with tempfile.TemporaryDirectory() as storage:
        journal = Path(storage) / "cnn" / "study.journal"
        began = time.perf_counter()
        tune = subprocess.Popen(
            [*COMMAND, "tune", "cnn", "--data", "sample", *SMALL, "--storage", storage],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while not (journal.exists() and "intermediate_value" in journal.read_text()):
            if tune.poll() is not None or time.perf_counter() - began > LIMIT:
                raise SystemExit("the study ended without an epoch")
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        tune.wait()
    return seconds


def compare(runs: int = RUNS) -> list[Row]:
    rows = []
    for what, side, goal in (("`cifake-ray --help`", help_text, 0.5), ("`tune` to its first epoch", first_epoch, 15.0)):
        side()  # caches: byte code, the sample
        found = [side() for _ in range(runs)]
        middle = statistics.median(found)
        rows.append(Row(11, what, shown(found, "s"), "", "", f"{goal:g} s", middle <= goal))
    return rows


if __name__ == "__main__":
    measure(compare, __doc__)

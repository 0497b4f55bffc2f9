"""Memory: the machine's and a trial's peak in a study of the full set, and what grows in one of many trials.

    python -m benchmarks.memory [--trials 200]

Studies of `cnn` on generated pictures run on a Ray of their own; their processes are looked at once a second.
Proportional set size, in which pages that processes share, such as the images, are shared out among them; of the
driver its own pages alone, because what it shared with trials falls to it when they end.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from benchmarks.pairs import HEADER, Row
from benchmarks.studies import write_pictures

TRIALS, IMAGES, GAINED, SETTLED = 200, 10_000, 100.0, 0.1  # settled: after a tenth of the trials
FULL_TRIALS, FULL_IMAGES = 6, 100_000  # a train part of CIFAKE's size; trials of one epoch, after which none grows
TUNE = (sys.executable, "-m", "cifake_ray", "tune")
EXPERIMENT = {
    "name": "many",
    "model": {"kind": "cnn", "channels": 8, "head_width": 16},
    "training": {"epochs": 1, "lr": 1e-3, "batch_size": 128},
    "search_space": {
        "lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True},
        "batch_size": {"type": "categorical", "choices": [64, 128, 256]},
        "head_width": {"type": "int", "low": 8, "high": 64},
    },
    "search": {"scheduler": "none", "winner_seeds": 0},
}


@dataclass
class Watched:
    """Megabytes over the time of a study, and the share of its trials that were done at each look."""

    driver: list[float] = field(default_factory=list)
    trial: list[float] = field(default_factory=list)  # the largest of the trials' processes
    machine: list[float] = field(default_factory=list)  # all of the study's processes
    done: list[float] = field(default_factory=list)

    def gained(self) -> float:
        """What the driver has more of at the end than after the first trials."""
        running = [size for size, done in zip(self.driver, self.done, strict=True) if SETTLED <= done < 1]
        return running[-1] - running[0]

    def grown(self) -> float:
        """How much more the largest trial's process holds in the second half of the trials than in the first."""
        first, second = ([size for size, done in zip(self.trial, self.done, strict=True) if low <= done < high]
                         for low, high in ((SETTLED, 0.5), (0.5, 1.0)))  # fmt: skip
        return max(second) - max(first)


def family(driver: int) -> dict[int, str]:
    """Process ids and command lines of a process and all below it."""
    table = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in table.splitlines()]
    found = {driver: ""}
    for _ in range(4):  # raylet and workers are grandchildren
        found |= {int(pid): text for pid, parent, text in rows if int(parent) in found}
    return found


def megabytes(pid: int, *kinds: str) -> float:
    """Sum of these kinds of its memory, as the kernel names them; 0 for a process that is gone."""
    try:
        lines = [line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]]
    except OSError:
        return 0.0
    return sum(float(words[1]) for words in lines if words[0].rstrip(":") in kinds) / 1024


def watch(command: Sequence[str], trials_file: Path, trials: int) -> Watched:
    """Run a study and look at its processes. Exits when it fails."""
    found = Watched()
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while driver.poll() is None:
        sizes = {pid: (text, megabytes(pid, "Pss")) for pid, text in family(driver.pid).items()}
        own = megabytes(driver.pid, "Private_Clean", "Private_Dirty")
        done = pd.read_csv(trials_file)["val_accuracy"].count() / trials if trials_file.exists() else 0.0
        if own:
            found.driver.append(own)
            found.trial.append(max((size for text, size in sizes.values() if "Trial" in text), default=0.0))
            found.machine.append(sum(size for _, size in sizes.values()))
            found.done.append(done)
        time.sleep(1)
    if driver.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {driver.returncode}")
    return found


def full_set() -> Row:
    """Peaks of a study of search_spaces/cnn.yaml on as many pictures as CIFAKE has."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, FULL_IMAGES)
        options = ("--data", name, "--storage", name, "--trials", str(FULL_TRIALS))
        settings = ("--set", "training.epochs=1", "--set", "search.winner_seeds=0")
        found = watch([*TUNE, "cnn", *options, *settings], folder / "cnn" / "trials.csv", FULL_TRIALS)
    what = f"memory of `cnn` on {FULL_IMAGES:,} images to train on and a fifth more to test"
    return Row("memory", what, peaks(found), "", "", "stated", True)


def peaks(found: Watched) -> str:
    text = f"{max(found.machine):,.0f} MB on the machine, {max(found.trial):,.0f} MB a trial, "
    return text + f"{max(found.driver):,.0f} MB the driver"


def many_trials(trials: int) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_pictures(folder, IMAGES)
        experiment = EXPERIMENT | {"data": {"source": name}}
        (folder / "many.yaml").write_text(yaml.safe_dump(experiment))
        command = [*TUNE, str(folder / "many.yaml"), "--storage", name, "--trials", str(trials)]
        found = watch(command, folder / "many" / "trials.csv", trials)
    gained, grown = found.gained(), found.grown()
    what = f"memory of {trials} trials of a small `cnn`, {IMAGES:,} images: peaks"
    return [
        Row("memory", what, peaks(found), "", "", "stated", True),
        Row("memory", f"what the driver gains after the first {SETTLED:.0%} of them", f"{gained:,.0f} MB", "", "",
            f"under {GAINED:g} MB", gained < GAINED),
        Row("memory", "what the largest trial has more of in the last half of them than in the first",
            f"{grown:,.0f} MB", "", "", f"under {GAINED:g} MB", grown < GAINED),
    ]  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=TRIALS)
    options = parser.parse_args(arguments)
    print(HEADER, flush=True)
    for row in (full_set(), *many_trials(options.trials)):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()

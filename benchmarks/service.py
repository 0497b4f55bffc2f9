"""What a study as a job costs, on a cluster of several nodes on this machine. Prints a table.

    python benchmarks/service.py [--trials 200] [--pairs 3] [--only first-epoch|overhead|many|lost-node]

Everything runs through the commands that users type, on the generated sample, against nodes of cluster/local.
"""

import argparse
import itertools
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "cluster" / "local" / "cluster.py"
LIMIT = 900.0  # seconds that anything may take
EXPERIMENT = """
name: bench
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 1, lr: 1e-3, batch_size: 32, precision: fp32}
search_space: {lr: {type: float, low: 1e-5, high: 3e-2, log: true}, head_width: {type: int, low: 4, high: 64}}
search: {trials: 20, scheduler: none, winner_seeds: 0}
data: {source: sample, limit: 240}
"""


@dataclass(frozen=True)
class Place:
    """Where the commands run: a folder with the experiment and the runs, and the environment that names the cluster."""

    folder: Path
    environment: dict[str, str]

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "cifake_ray", *arguments, "--storage", str(self.folder / "runs")]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=self.folder, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def finish(self, process: "subprocess.Popen[str]") -> None:
        out, err = process.communicate(timeout=LIMIT)
        if process.returncode:
            sys.exit(f"{' '.join(process.args)} ended with {process.returncode}: {out[-500:]}{err[-500:]}")  # type: ignore[arg-type]

    def journal(self, name: str) -> list[dict[str, object]]:
        """The entries of a study's journal that are written so far."""
        file = self.folder / "runs" / name / "study.journal"
        lines = file.read_text().splitlines(keepends=True) if file.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]


@contextmanager
def cluster(workers: int) -> Iterator[tuple[Place, list[int]]]:
    """Head and workers of one CPU each; yields where to submit from and the nodes' process ids, the head's first."""
    with tempfile.TemporaryDirectory(prefix="cb-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "bench.yaml").write_text(EXPERIMENT)
        base = os.environ | {"PYTHONPATH": str(ROOT), "CIFAKE_RAY_CACHE": str(folder / "cache")}
        where = ["--dir", str(folder / "r")]
        start = [sys.executable, str(SCRIPT), "start", "--workers", str(workers), "--cpus", "1", *where]
        try:
            started = subprocess.run(start, env=base, capture_output=True, text=True, check=True)
            exported = dict(re.findall(r"^export (\w+)=(\S+)$", started.stdout, flags=re.MULTILINE))
            pids = json.loads((folder / "r" / "cluster.json").read_text())["pids"]
            yield Place(folder, base | exported), pids
        finally:
            subprocess.run([sys.executable, str(SCRIPT), "stop", *where], env=base, capture_output=True, check=False)


def wait_for(true: Callable[[], object], what: str) -> float:
    """Seconds until it is true."""
    began = time.monotonic()
    while not true():
        if time.monotonic() - began > LIMIT:
            sys.exit(f"{what}: not within {LIMIT:.0f} s")
        time.sleep(0.05)
    return time.monotonic() - began


def epochs(place: Place, name: str, trial: int | None = None) -> int:
    """Epochs in a study's journal: of all trials, or of one."""
    entries = [entry for entry in place.journal(name) if "intermediate_value" in entry]
    return sum(trial is None or entry["trial_id"] == trial for entry in entries)


def first_epoch(place: Place, pairs: int) -> None:
    """Seconds from the command to the first epoch on the record: as a job, and on a Ray of its own."""
    seconds: dict[str, list[float]] = {"submit": [], "tune": []}
    for number in range(pairs):
        for verb, found in seconds.items():
            name = f"first-{verb}-{number}"
            process = place.start(verb, "bench.yaml", "--name", name, "--trials", "1")
            found.append(wait_for(lambda name=name: epochs(place, name), name))
            wait_for(lambda name=name: ended(place, name), name)
            place.finish(process)
    say("seconds from `submit` to the first epoch", seconds["submit"])
    say("the same for `tune` (starts a Ray of its own)", seconds["tune"])


def ended(place: Place, name: str) -> bool:
    return (place.folder / "runs" / name / "test.json").exists()


def overhead(place: Place, pairs: int) -> None:
    """Seconds between trials' ends from the fourth on, times the places: all a trial costs, its short epoch too."""
    seconds: dict[str, list[float]] = {"submit": [], "tune": []}
    for number in range(pairs):
        for verb, found in seconds.items():
            name = f"over-{verb}-{number}"
            options = ("--name", name, "--trials", "40", "--set", "resources.max_concurrent=2")
            process = place.start(verb, "bench.yaml", *options, *(["--follow"] if verb == "submit" else []))
            place.finish(process)
            ends = sorted(stamps(place, name))
            found.append((ends[-1] - ends[3]) / (len(ends) - 4) * 2)
    say("seconds a trial in a job (2 at once, 1 epoch)", seconds["submit"])
    say("seconds a trial with `tune` on this machine", seconds["tune"])


def stamps(place: Place, name: str) -> list[float]:
    """When each trial ended, in seconds since 1970."""
    found = [entry.get("datetime_complete") for entry in place.journal(name)]
    return [datetime.fromisoformat(str(time)).timestamp() for time in found if time]


def many(place: Place, trials: int) -> None:
    """A study of many one-epoch trials on every node."""
    began = time.monotonic()
    place.finish(place.start("submit", "bench.yaml", "--name", "many", "--trials", str(trials), "--follow"))
    ends = sorted(stamps(place, "many"))
    say(f"seconds of a study of {trials} one-epoch trials on 4 nodes", [time.monotonic() - began])
    say("of which from the first trial's end to the last's", [ends[-1] - ends[0]])
    print(f"| trials on the record | {len(ends)} | | |", flush=True)


def lost_node(place: Place, pids: list[int]) -> None:
    """From the SIGKILL of a node's raylet to the next epoch of the trial that ran there."""
    options = ("--trials", "4", "--set", "training.epochs=400")
    process = place.start("submit", "bench.yaml", "--name", "lost", *options, "--follow")
    wait_for(lambda: epochs(place, "lost") > 40, "the first epochs")
    raylet, trial = wait_for_trial(pids[-1])
    os.kill(raylet, signal.SIGKILL)
    killed = time.time()
    place.finish(process)
    say(
        "seconds without an epoch of the hit trial after its node's SIGKILL",
        [longest_gap(place, "lost", trial, killed)],
    )
    found = [(entry["trial_id"], entry["step"]) for entry in place.journal("lost") if "intermediate_value" in entry]
    print(f"| epochs on the record, and different ones, of 4 x 400 | {len(found)} | {len(set(found))} | |", flush=True)


def longest_gap(place: Place, name: str, trial: int, since: float) -> float:
    """Between two epochs of a trial that end after `since`: a process outlives its node by a moment."""
    noted = [
        entry["user_attr"] for entry in place.journal(name) if entry.get("trial_id") == trial and "user_attr" in entry
    ]
    ends = sorted(value["at"] for attr in noted for key, value in attr.items() if key.startswith("epoch:"))  # type: ignore[attr-defined]
    after = [since, *(end for end in ends if end > since)]
    return max(second - first for first, second in itertools.pairwise(after))


def wait_for_trial(node: int) -> tuple[int, int]:
    """The raylet of a node and the number of a trial that runs under it."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        table = subprocess.run(["ps", "-eo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in table.splitlines()]
        raylets = [int(pid) for pid, parent, text in rows if int(parent) == node and "raylet/raylet" in text]
        for _, parent, text in rows:
            if int(parent) in raylets and (trial := re.match(r"ray::CnnTrial trial (\d+)", text)):
                return int(parent), int(trial[1])
        time.sleep(0.05)
    sys.exit("no trial ran on the last node")


def say(what: str, seconds: list[float]) -> None:
    print(f"| {what} | {statistics.median(seconds):.2f} | {min(seconds):.2f} | {max(seconds):.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--only", choices=["first-epoch", "overhead", "many", "lost-node"])
    options = parser.parse_args()
    print("| what | median | least | most |\n|---|---|---|---|")
    if options.only in (None, "first-epoch", "overhead"):
        with cluster(1) as (place, _):
            if options.only != "overhead":
                first_epoch(place, options.pairs)
            if options.only != "first-epoch":
                overhead(place, options.pairs)
    if options.only in (None, "many", "lost-node"):
        with cluster(3) as (place, pids):
            if options.only != "lost-node":
                many(place, options.trials)
            if options.only != "many":
                lost_node(place, pids)


if __name__ == "__main__":
    main()

"""1 and 8: trials that train nothing: what a trial costs, and how well 8 places are kept busy with ten-second trials.

    python -m benchmarks.trials [--runs 5] [--only overhead]

Every side is a process with a Ray of its own. A trial reports three times and leaves two empty files, which say when
it began and ended and in which process.
"""

import argparse
import heapq
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.pairs import HEADER, OTHER, OURS, ROOT, RUNS, Row, alternate, compared, shown

REPORTS = 3
EXPERIMENT = {
    "name": "idle",
    "model": {"kind": "cnn"},
    "training": {"epochs": REPORTS},
    "search_space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
    "data": {"source": "sample"},
}


# --- the trials, in processes of their own ------------------------------------------------------------------------


def note(folder: Path, what: str, name: str) -> None:
    (folder / f"{name}.{os.getpid()}.{what}").touch()


def ours(folder: Path, seconds: float, trials: int, places: int) -> None:
    """A study as `cifake-ray tune` conducts it, but for what its trials do, and without retrainings."""
    from cifake_ray.experiment import Experiment
    from cifake_ray.runs.names import create_run
    from cifake_ray.tuning.ray_cluster import capacity

    capacity.local_node = lambda **_: {"CPU": float(places)}  # as if the machine had so many cores
    from cifake_ray.tuning.ray_cluster.session import ray_session, waiting_processes

    search = {"trials": trials, "scheduler": "none", "winner_seeds": 0}
    experiment = Experiment.model_validate(EXPERIMENT | {"search": search})
    with ray_session(None, experiment), waiting_processes():
        from cifake_ray.tuning.environment import gather_context
        from cifake_ray.tuning.monitor.assembly import study_callbacks
        from cifake_ray.tuning.monitor.stopping import StopSignal
        from cifake_ray.tuning.record import StudyRecord
        from cifake_ray.tuning.study import Study
        from cifake_ray.tuning.study_inputs import gather_inputs
        from cifake_ray.tuning.trial.trainable import build_trainable

        run, stop, inputs = create_run(folder, "run", experiment), StopSignal(), gather_inputs(experiment)
        context, spent = gather_context(experiment, run, inputs, stop.check)
        record, slots = StudyRecord(run, experiment), capacity.Slots(experiment, own=True)
        trainable = build_trainable(context, slots.capacity.bundle, partial(idle, folder, seconds))
        study = Study(record, trainable, slots, study_callbacks(record, inputs, spent, slots.capacity, stop, None))
        with study.followed():
            study.tune()
    check_reports([len(row.curve) for row in record.rows.values()], trials)


def check_reports(reports: Sequence[int], trials: int) -> None:
    """Exit when a trial, or one of its reports, is missing."""
    if list(reports) != [REPORTS] * trials:
        raise SystemExit(f"{trials} trials reported {list(reports)} times")


def idle(folder: Path, seconds: float, context: Any, config: Mapping[str, Any], report: Callable[..., None]) -> None:  # noqa: ARG001
    """What a trial of ours does here: report and sleep."""
    if config["trial_id"] is None:
        return  # the winner once more, as it left no checkpoint
    note(folder, "began", str(config["trial_id"]))
    for epoch in range(1, REPORTS + 1):
        time.sleep(seconds / REPORTS)
        figures = dict.fromkeys(("train_loss", "val_loss", "learning_rate", "seconds", "best_val_loss"), 0.5)
        accuracies = dict.fromkeys(("train_accuracy", "val_accuracy", "best_val_accuracy"), 0.5)
        report({"epoch": epoch, "best_epoch": epoch, "trial_id": config["trial_id"]} | figures | accuracies)
    note(folder, "ended", str(config["trial_id"]))


def plain(folder: Path, seconds: float, trials: int, places: int) -> None:
    """Ray Tune with its own OptunaSearch over a function, as its documentation shows."""
    import ray
    from ray import tune

    def trial(config: dict[str, Any]) -> None:
        import torch  # noqa: F401 (every user's function needs it)

        name = tune.get_context().get_trial_id()
        note(folder, "began", name)
        for _ in range(REPORTS):
            time.sleep(seconds / REPORTS)
            tune.report({"accuracy": config["lr"]})
        note(folder, "ended", name)

    ray.init(address="local", num_cpus=places, include_dashboard=False, log_to_driver=False)
    tune_with_ray(trial, folder, trials, places)


def nested(folder: Path, seconds: float, trials: int, places: int) -> None:
    """Ray's documented pattern for tuning with Ray Train: a Tune function that fits a TorchTrainer."""
    import ray
    from ray import train, tune
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    def worker(config: dict[str, Any]) -> None:
        for _ in range(REPORTS):
            time.sleep(seconds / REPORTS)
            train.report({"accuracy": config["lr"]})

    def trial(config: dict[str, Any]) -> None:
        name = tune.get_context().get_trial_id()
        note(folder, "began", name)
        TorchTrainer(
            worker,
            train_loop_config=config,
            scaling_config=train.ScalingConfig(num_workers=1),
            run_config=train.RunConfig(name=name, storage_path=str(folder), callbacks=[TuneReportCallback()]),
        ).fit()
        note(folder, "ended", name)

    # A trial takes two CPUs: its function's and its worker's.
    ray.init(address="local", num_cpus=2 * places, include_dashboard=False, log_to_driver=False)
    tune_with_ray(trial, folder, trials, places)


def tune_with_ray(trial: Callable[[dict[str, Any]], None], folder: Path, trials: int, places: int) -> None:
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    settings = {"metric": "accuracy", "mode": "max", "num_samples": trials, "max_concurrent_trials": places}
    results = tune.Tuner(
        trial,
        param_space={"lr": tune.loguniform(1e-4, 1e-2)},
        tune_config=tune.TuneConfig(search_alg=OptunaSearch(), **settings),
        run_config=tune.RunConfig(storage_path=str(folder), verbose=0),
    ).fit()
    check_reports([result.metrics["training_iteration"] for result in results], trials)


SIDES = {"ours": ours, "plain": plain, "nested": nested}


# --- what is measured ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ran:
    """When each trial began and ended, in seconds since its side's process started, and in which process."""

    began: list[float]
    ended: list[float]
    processes: list[int]

    def filled(self, places: int) -> float:
        """Seconds until as many processes as places had begun a trial."""
        first = {pid: min(self._of(pid, self.began)) for pid in set(self.processes)}
        return sorted(first.values())[places - 1]

    def overhead(self, places: int) -> float:
        """Seconds of a place that a trial takes, from the end of the first `places` trials on."""
        ends = sorted(self.ended)
        return (ends[-1] - ends[places - 1]) * places / (len(ends) - places)

    def over_ideal(self, seconds: float, places: int) -> float:
        """How much longer than it could be the time from the first end to the last is, as a share.

        Ideal: every place is free when its first trial ends, and takes `seconds` for each of those left, no more.
        """
        free = [min(self._of(pid, self.ended)) for pid in set(self.processes)]
        if len(free) != places:
            raise SystemExit(f"{len(free)} processes ran trials on {places} places")
        first = min(free)
        heapq.heapify(free)
        for _ in range(len(self.ended) - len(free)):
            heapq.heapreplace(free, free[0] + seconds)
        return (max(self.ended) - first) / (max(free) - first) - 1

    def _of(self, pid: int, times: list[float]) -> list[float]:
        return [at for at, its in zip(times, self.processes, strict=True) if its == pid]


def ran(side: str, seconds: float, trials: int, places: int) -> Ran:
    """Run a side in a process of its own. Exits when not every trial ended."""
    with tempfile.TemporaryDirectory() as name:
        began = time.time()
        command = [sys.executable, "-m", "benchmarks.trials", "--side", side, name, str(seconds), str(trials)]
        environment = os.environ | {"RAY_TRAIN_V2_ENABLED": "1", "PYTHONPATH": str(ROOT)}
        done = subprocess.run([*command, str(places)], env=environment, capture_output=True, text=True, check=False)
        marks = {what: _marks(Path(name), what) for what in ("began", "ended")}
    if done.returncode or not len(marks["began"]) == len(marks["ended"]) == trials:
        raise SystemExit(f"{side}: {len(marks['ended'])} of {trials} trials ended: {done.stderr[-800:]}")
    started, ended = ([at - began for at in marks[what].values()] for what in ("began", "ended"))
    return Ran(started, ended, [int(mark.split(".")[1]) for mark in marks["began"]])


def _marks(folder: Path, what: str) -> dict[str, float]:
    """When, by `trial.process`."""
    return {file.stem: file.stat().st_mtime for file in sorted(folder.glob(f"*.{what}"))}


def overhead(runs: int = RUNS, trials: int = 20) -> list[Row]:
    """1: a trial's overhead, 2 at once, against the nested pattern."""

    def side(name: str) -> float:
        return ran(name, 0.0, trials, 2).overhead(2)

    found = alternate({OURS: partial(side, "ours"), OTHER: partial(side, "nested")}, runs, warm_up=False)
    middle = statistics.median(found[OURS])
    against = compared(1, f"a trial that trains nothing ({trials}, 2 at once)", found, "s", 30, rate=False)
    return [against, Row(1, "the same in seconds", shown(found[OURS], "s"), "", "", "0.5 s", middle < 0.5)]


def places(runs: int = RUNS, trials: int = 100, seconds: float = 10.0, slots: int = 8) -> list[Row]:
    """8: places kept busy, and filled as fast as plain Tune with OptunaSearch fills them."""
    shares: list[float] = []

    def mine() -> float:
        found = ran("ours", seconds, trials, slots)
        shares.append(found.over_ideal(seconds, slots))
        return found.filled(slots)

    sides = {OURS: mine, OTHER: lambda: ran("plain", seconds, slots, slots).filled(slots)}
    filled = alternate(sides, runs, warm_up=False)
    over = [share * 100 for share in shares]
    what = f"{trials} trials of {seconds:g} s on {slots} places: time over the ideal, from the first end on"
    return [
        Row(8, what, shown(over, "%"), "14 % (Ray's own figure)", "", "at most 5 %", statistics.median(over) <= 5),
        compared(8, f"seconds until {slots} places are filled, against OptunaSearch", filled, "s", 3, rate=False),
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--only", choices=["overhead", "places"])
    parser.add_argument("--side", nargs=5, metavar=("SIDE", "FOLDER", "SECONDS", "TRIALS", "PLACES"),
                        help="run one side's trials and measure nothing")  # fmt: skip
    options = parser.parse_args(arguments)
    if options.side:
        side, folder, seconds, trials, slots = options.side
        SIDES[side](Path(folder), float(seconds), int(trials), int(slots))
        return
    print(HEADER, flush=True)
    for name, measured in (("overhead", overhead), ("places", places)):
        if options.only in (None, name):
            for row in measured(options.runs):
                print(row.line(), flush=True)


if __name__ == "__main__":
    main()

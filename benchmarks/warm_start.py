"""What `tune --warm-start` saves: CIFAKE's subjects 1 to 5 are searched first, then subjects 6 to 10.

    python -m benchmarks.warm_start --record --data PATH/TO/CIFAKE     # once, an hour of a core; goes on where it ended
    python -m benchmarks.warm_start [--seeds 10]                       # minutes

`--record` trains the pools of benchmarks.recorded_trials. The studies are then replayed: searcher, sampler, journal and
warm start are those of `tune`. A trial gives the mean of the NEAREST recorded configurations, weighted by the inverse
of their distance in the unit cube (scales as searched), plus a draw of the deviation over seeds. No early stopping.
Every arm sees the same draws.

Target: median final best of cold studies minus one deviation over seeds. A study that does not reach the target counts
as one trial more than it has.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from benchmarks.pairs import HEADER, Row
from benchmarks.recorded_trials import HALVES, Pool, experiment_of, record
from cifake_ray.experiment import Experiment
from cifake_ray.runs.names import create_run
from cifake_ray.runs.records import DataNote, Environment
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.searcher import StudySearch
from cifake_ray.tuning.warm_start.parents import read_parents
from cifake_ray.tuning.warm_start.transfer import transfer

FINGERPRINT = "0" * 64  # of the images of all replayed studies; the halves differ in data.leave_out


def replay(run: Run, experiment: Experiment, pool: Pool) -> list[float]:
    """Conduct the study, one trial after another; the accuracy of each."""
    record = StudyRecord(run, experiment)
    search, found = StudySearch(record, lambda: 1), list[float]()
    while isinstance(config := search.suggest(f"trial-{len(found)}"), dict):
        noise = np.random.default_rng([experiment.training.seed, len(found)])
        found.append(pool.accuracy(config["params"], noise))
        search.on_trial_complete(f"trial-{len(found) - 1}", report_of(found[-1]))
    record.flush(force=True)
    write_record(run.environment_file, Environment(data=DataNote(fingerprint=FINGERPRINT)))
    return found


def report_of(accuracy: float) -> dict[str, float]:
    """The last report of a trial: its last epoch is its best, and the only one."""
    figures = dict.fromkeys(("train_loss", "val_loss", "learning_rate", "seconds", "best_val_loss"), 0.5)
    return {"epoch": 1, "best_epoch": 1, "train_accuracy": accuracy, "val_accuracy": accuracy,
            "best_val_accuracy": accuracy} | figures  # fmt: skip


Pools = dict[str, Pool]
# The half and the pool of the earlier study by arm; None for a cold one.
EARLIER: dict[str, Callable[[Pools, int], tuple[str, Pool]] | None] = {
    "cold": None,
    "warm start": lambda pools, _: ("first", pools["first"]),
    "only the best copied": lambda pools, _: ("first", pools["first"]),
    "unrelated study": lambda pools, seed: ("first", pools["first"].shuffled(seed)),
    "opposite study": lambda pools, _: ("first", pools["first"].opposite),
    "same half, trials known": lambda pools, _: ("second", pools["second"]),
}


def conduct(arm: str, pools: Pools, seed: int, storage: Path) -> list[float]:
    """One study of the second half as the arm has it."""
    experiment = experiment_of("second", seed, epochs=1)
    run = create_run(storage, "study", experiment)
    if (earlier := EARLIER[arm]) is not None:
        half, pool = earlier(pools, seed)
        before = experiment_of(half, 1000 + seed, epochs=1)
        replay(create_run(storage, "earlier", before), before, pool)
        taken = transfer(read_parents(["earlier"], storage, experiment), experiment, frozenset({FINGERPRINT}))
        start = taken.start
        if arm == "only the best copied":
            start.proposals = start.proposals[:1]
        write_record(run.warm_start_file, start)
    return replay(run, experiment, pools["second"])


def trials_to(accuracies: Sequence[float], target: float) -> int:
    return next((number for number, value in enumerate(accuracies, 1) if value >= target), len(accuracies) + 1)


def measured(seeds: int) -> Iterator[Row]:
    pools = {half: Pool.of(half) for half in HALVES}
    found: dict[str, list[list[float]]] = {}
    for arm in EARLIER:
        found[arm] = []
        for seed in range(seeds):
            with tempfile.TemporaryDirectory() as storage:
                found[arm].append(conduct(arm, pools, seed, Path(storage)))
    final = statistics.median(max(study) for study in found["cold"])
    target = final - pools["second"].deviation
    yield Row("", f"median final best of {seeds} cold studies, and one deviation over seeds", f"{100 * final:.2f} %",
              f"{100 * pools['second'].deviation:.2f} points", "", "", None)  # fmt: skip
    cold = counted(found["cold"], target)
    for arm, studies in found.items():
        counts = counted(studies, target)
        ratio = statistics.median(counts) / statistics.median(cold)
        goal, met = GOALS.get(arm, ("", lambda _: None))
        yield Row("warm", f"{arm}: trials to {100 * target:.2f} %", words(counts), words(cold), f"{ratio:.2f}", goal,
                  met(ratio))  # fmt: skip


GOALS: dict[str, tuple[str, Callable[[float], bool | None]]] = {
    "warm start": ("at most half", lambda ratio: ratio <= 0.5),
    "unrelated study": ("at most 1.1", lambda ratio: ratio <= 1.1),
}


def counted(studies: Sequence[Sequence[float]], target: float) -> list[int]:
    return [trials_to(study, target) for study in studies]


def words(counts: Sequence[int]) -> str:
    return f"{statistics.median(counts):g} ({', '.join(map(str, sorted(counts)))})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="train what the pools lack, and replay nothing")
    parser.add_argument("--data", default="sample", help="CIFAKE, for --record")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    if options.record:
        record(options.data)
        return
    print(HEADER, flush=True)
    for row in measured(options.seeds):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()

"""9: what a trial costs beside training, and what a TPE proposal costs, around trial 100 and around trial 5,000.

    python -m benchmarks.bookkeeping [--runs 5]

A study's searcher as Tune drives it: a trial is proposed, ten epochs are noted, it ends, tables are rewritten when due.
Configurations are drawn at random, which costs nothing; TPE is asked apart. `--runs` studies.
"""

import random
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.pairs import ROOT, RUNS, Row, measure, ratios, shown
from cifake_ray.experiment import Experiment, load_experiment
from cifake_ray.runs.names import create_run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.searcher import StudySearch
from cifake_ray.tuning.space import build_sampler, suggest_params

EARLY, LATE, WINDOW, EPOCHS = 100, 5_000, 400, 10  # tables are rewritten every few hundred trials


def add_trial(search: StudySearch, draw: random.Random, epochs: int = EPOCHS) -> None:
    """One trial from proposal to end, as Tune would report it, with made-up figures; stopped before its last epoch."""
    search.suggest("trial")
    accuracy, result = draw.uniform(0.6, 0.9), {}
    for epoch in range(1, epochs + 1):
        figures = dict.fromkeys(("train_loss", "val_loss", "learning_rate", "seconds", "best_val_loss"), draw.random())
        accuracies = dict.fromkeys(("train_accuracy", "val_accuracy", "best_val_accuracy"), accuracy + epoch / 1000)
        spent = dict.fromkeys(("total_seconds", "cpu_seconds"), float(epoch))
        result = {"epoch": epoch, "best_epoch": epoch} | figures | accuracies | spent
        search.on_trial_result("trial", result)
    search.on_trial_complete("trial", result)


def propose(record: StudyRecord, experiment: Experiment, times: int) -> list[float]:
    """Seconds of each of so many proposals of one TPE sampler, which a study has too, after a first one."""
    before, record.study.sampler = record.study.sampler, build_sampler(experiment, len(record.rows))
    found = []
    for _ in range(1 + times):
        began = time.perf_counter()
        trial = record.study.ask()
        suggest_params(trial, experiment.search_space)
        found.append(time.perf_counter() - began)
        record.discard(trial.number, "asked by the benchmark")
    record.study.sampler = before
    return found[1:]


def one_study(experiment: Experiment, draw: random.Random) -> dict[str, float]:
    """Seconds a trial around trial EARLY and around trial LATE, and of a TPE proposal there."""
    found: dict[str, float] = {}
    search = experiment.search.model_copy(update={"sampler": "random", "trials": 10 * LATE})
    drawn = experiment.model_copy(update={"search": search})
    with tempfile.TemporaryDirectory() as storage:
        record = StudyRecord(create_run(Path(storage), "many", drawn), drawn)
        searcher = StudySearch(record, lambda: 1)
        for number in range(LATE + WINDOW):
            if number in (EARLY, LATE):
                began = time.perf_counter()
            add_trial(searcher, draw)
            for name, first in (("early", EARLY), ("late", LATE)):
                if number == first + WINDOW - 1:
                    found[name] = (time.perf_counter() - began) / WINDOW
        found["proposal"] = statistics.median(propose(record, experiment, 5))
    return found


def compare(runs: int = RUNS) -> list[Row]:
    experiment = load_experiment(ROOT / "search_spaces" / "cnn.yaml", [])
    studies = [one_study(experiment, random.Random(seed)) for seed in range(runs)]
    early, late, proposal = ([study[name] for study in studies] for name in ("early", "late", "proposal"))
    times = ratios(late, early)
    middle = statistics.median(times)
    slower = f"{middle:.2f} ({min(times):.2f} to {max(times):.2f})"
    what = f"bookkeeping a trial at trial {LATE:,}, against trial {EARLY}"
    return [
        Row(9, what, shown(late, "s"), shown(early, "s"), slower, "at most 2 times", middle <= 2),
        Row(9, f"a TPE proposal at trial {LATE:,}", shown(proposal, "s"), "", "", "0.1 s",
            statistics.median(proposal) < 0.1),
    ]  # fmt: skip


if __name__ == "__main__":
    measure(compare, __doc__)

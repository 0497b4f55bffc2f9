"""10: the report over 10 studies of 500 trials and 50 epochs each.

    python -m benchmarks.reports [--runs 5]

Trials and curves are made up, written by the record that tuning keeps and copied nine times; test scores and
predictions are those of the published `cnn` study, 20,000 images and six networks each.
"""

import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.bookkeeping import add_trial
from benchmarks.pairs import ROOT, RUNS, Row, measure, shown
from cifake_ray.experiment import save_experiment
from cifake_ray.runs.files import write_text
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.searcher import StudySearch

STUDIES, TRIALS, EPOCHS = 10, 500, 50
PUBLISHED = ROOT / "results" / "studies" / "cnn"


def write_studies(storage: Path) -> list[str]:
    """Run directories of the same study under ten names; returns their paths."""
    published = Run(PUBLISHED).experiment()
    changes = {
        "name": "study-0",
        "training": published.training.model_copy(update={"epochs": EPOCHS}),
        "search": published.search.model_copy(update={"trials": TRIALS, "sampler": "random"}),
    }
    experiment = published.model_copy(update=changes)
    run = create_run(storage, experiment.name, experiment)
    record, draw = StudyRecord(run, experiment), random.Random(0)
    search = StudySearch(record, lambda: 1)
    for _ in range(TRIALS):
        add_trial(search, draw, EPOCHS)
    record.flush(force=True)
    for file in (run.environment_file, run.test_file, run.predictions_file):
        shutil.copy(PUBLISHED / file.name, file)
    others = [storage / f"study-{number}" for number in range(1, STUDIES)]
    for folder in others:
        shutil.copytree(run.path, folder)
        named = experiment.model_copy(update={"name": folder.name})
        write_text(Run(folder).experiment_file, save_experiment(named))
    return list(map(str, (run.path, *others)))


def report(runs: list[str], out: str) -> float:
    """Seconds of `cifake-ray report`. Exits when the table lacks a study."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "cifake_ray", "report", *runs, "--out", out], check=True, capture_output=True)
    seconds = time.perf_counter() - began
    if missing := {Path(run).name for run in runs} - set(pd.read_csv(Path(out) / "comparison.csv")["study"]):
        raise SystemExit(f"comparison.csv lacks {sorted(missing)}")
    return seconds


def compare(runs: int = RUNS) -> list[Row]:
    with tempfile.TemporaryDirectory() as name:
        studies = write_studies(Path(name))
        report(studies, f"{name}/out")
        found = [report(studies, f"{name}/out") for _ in range(runs)]
    what = f"report over {STUDIES} studies of {TRIALS} trials and {EPOCHS} epochs"
    return [Row(10, what, shown(found, "s"), "", "", "10 s", statistics.median(found) < 10)]


if __name__ == "__main__":
    measure(compare, __doc__)

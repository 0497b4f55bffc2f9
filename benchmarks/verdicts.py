"""Verdicts: whether the stored rule keeps what alpha promises, over random divisions into calibration and test.

    python -m benchmarks.verdicts [RUN ...] [--splits 100] [--alpha 0.01 0.05]

Without RUN: the published studies on CIFAKE (test part without duplicates) and a model trained on `sample-native`
(its validation and test pictures, which are few: at alpha 0.01 they allow no verdict). Each division takes half of the
pictures to calibrate and judges the other half. Any model will do: the promise holds for bad ones too. The check of
pictures unlike those of calibration needs pixels and is left out; with it fewer pictures are called fake.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.pairs import HEADER, ROOT, Row
from cifake_ray.detector.verdict import Rule, decide
from cifake_ray.reporting.load import load
from cifake_ray.reporting.winners import median_seed
from cifake_ray.runs.predictions import read_validation
from cifake_ray.runs.run import Run
from cifake_ray.stats.conformal import excluded_interval, needed

PUBLISHED = ("cnn", "cnn-robust", "cnn-deep", "resnet50")
SPLITS, ALPHAS = 100, (0.01, 0.05)
INSIDE, BELOW = 0.90, 0.95  # shares of the divisions that the goals ask for; a 97.5 % point is passed in 1 of 40


@dataclass(frozen=True)
class Pool:
    """Labelled logits of one model, float64 [n], that the model was not trained on."""

    name: str
    labels: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Split:
    """Of one division: shares of REAL pictures, 0..1, and between which the share excluded lies with 95 %."""

    called_fake: float
    excluded: float
    low: float
    high: float
    unsure: float  # of all pictures


def pool_of(path: Path, *, validation: bool = False) -> Pool:
    """The test pictures of the run's median winner without duplicates; on demand the validation pictures too."""
    study = load(path)
    seed, found = median_seed(study), study.predictions
    assert seed is not None
    assert found is not None
    labels, logits = [found.labels], [found.logits("tuned", seed)]
    held_out = read_validation(Run(path)) if validation else None
    if held_out is not None:
        labels.append(held_out.labels)
        logits.append(held_out.logits["tuned"][seed].astype(np.float64))
    return Pool(study.name, np.concatenate(labels), np.concatenate(logits))


def divided(pool: Pool, alpha: float, seed: int) -> Split:
    """Calibrate on a random half, judge the other."""
    order = np.random.default_rng(seed).permutation(len(pool.labels))
    first, second = np.array_split(order, 2)
    rule = Rule(decide(pool.labels[first], pool.logits[first]), alpha)
    labels, logits = pool.labels[second], pool.logits[second]
    verdicts = rule.verdicts(logits, np.zeros(len(logits), bool))
    real = labels == 1
    limit, tested = rule.limits[1], int(real.sum())
    low, high = excluded_interval(limit.rank if limit else 0, int((pool.labels[first] == 1).sum()), tested)
    excluded = rule.excluded(logits)[real, 1]
    return Split(
        float((verdicts[real] == 0).mean()), float(excluded.mean()), low / tested, high / tested,
        float((verdicts == 2).mean()),
    )  # fmt: skip


def rows_of(pool: Pool, alpha: float, splits: int) -> Iterator[Row]:
    found = [divided(pool, alpha, seed) for seed in range(splits)]
    real = int((pool.labels == 1).sum())
    what = f"{pool.name}, alpha {alpha:g}, {len(pool.labels):,} pictures ({real:,} REAL) halved {splits} times"
    if real // 2 < needed(alpha) * 0.9:
        what += ": too few to exclude REAL, nothing is called fake"
    below = sum(one.called_fake <= one.high for one in found)
    inside = sum(one.low <= one.excluded <= one.high for one in found)
    called, excluded, unsure = (
        _shares([getattr(one, key) for one in found]) for key in ("called_fake", "excluded", "unsure")
    )
    yield Row("verdicts", f"{what}: REAL called fake", called, f"at most {100 * found[0].high:.2f} %",
              f"{below} of {splits}", f"{100 * BELOW:.0f} %", below >= BELOW * splits)  # fmt: skip
    interval = f"{100 * found[0].low:.2f} to {100 * found[0].high:.2f} %"
    yield Row("verdicts", f"the same: REAL whose label is excluded (unsure: {unsure})", excluded, interval,
              f"{inside} of {splits}", f"{100 * INSIDE:.0f} %", inside >= INSIDE * splits)  # fmt: skip


def _shares(values: Sequence[float]) -> str:
    """Median, least and most, in percent."""
    middle, low, high = (100 * value for value in (np.median(values), min(values), max(values)))
    return f"{middle:.2f} % ({low:.2f} to {high:.2f})"


def train_native(storage: Path) -> Path:
    """A run of one configuration on `sample-native`, a minute on two cores."""
    options = ["--name", "sample-native", "--storage", str(storage)]
    experiment = str(ROOT / "search_spaces" / "examples" / "native.yaml")
    subprocess.run([sys.executable, "-m", "cifake_ray", "train", experiment, *options], check=True, stdout=sys.stderr)
    return storage / "sample-native"


def pools(runs: Sequence[str]) -> Iterator[Pool]:
    """Of the runs named, or of the published studies and a model on `sample-native`."""
    if runs:
        yield from (pool_of(Path(run)) for run in runs)
        return
    yield from (pool_of(ROOT / "results" / "studies" / name) for name in PUBLISHED)
    with tempfile.TemporaryDirectory() as storage:
        yield pool_of(train_native(Path(storage)), validation=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", metavar="RUN")
    parser.add_argument("--splits", type=int, default=SPLITS)
    parser.add_argument("--alpha", type=float, nargs="+", default=ALPHAS)
    options = parser.parse_args()
    print(HEADER, flush=True)
    for pool in pools(options.runs):
        for alpha in options.alpha:
            for row in rows_of(pool, alpha, options.splits):
                print(row.line(), flush=True)


if __name__ == "__main__":
    main()

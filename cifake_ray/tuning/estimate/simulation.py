"""A study replayed in simulated time with Tune's own scheduler: how many epochs are run, and how long that takes."""

import heapq
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from cifake_ray.experiment import Experiment
from cifake_ray.tuning.search.scheduler import SearchTrial, build_scheduler

# The next three as measured on two cores, where they matter most (docs/log.md).
FIRST_SECONDS = 10.0  # until the first trial's process trains
ACTOR_SECONDS = 2.5  # until the next process does: processes start one by one (16 took 40 s)
TRIAL_SECONDS = 0.6  # of Tune, Train and checkpoints around a trial in a reused process
WORKERS_SECONDS = 11.0  # the same with data-parallel workers, which are started for every trial
_REPLAYED = 20_000  # epochs that are replayed: about a second


@dataclass(frozen=True)
class Replayed:
    """Means over the replays: epochs run by all trials, and seconds from the first to the last of them."""

    epochs: float
    seconds: float


@dataclass(frozen=True)
class Costs:
    """Seconds: until the first slot is ready, until each further slot, of a trial besides its epochs, and of an epoch,
    of which each trial draws one."""

    first: float
    actor: float
    trial: float
    epochs: Sequence[float]


def replay(experiment: Experiment, slots: int, epoch_seconds: Sequence[float]) -> tuple[Replayed, Replayed]:
    """The study without early stopping, and with the experiment's scheduler.

    Trials come in random order of quality and keep their rank from the first epoch to the last: of those that reach a
    rung about one in `reduction_factor` continues. A sampler that learns keeps more, up to the first of the two
    figures.
    """
    trials, epochs = experiment.search.trials, experiment.training.epochs
    costs = Costs(FIRST_SECONDS, ACTOR_SECONDS, _overhead(experiment), epoch_seconds)
    repeats = max(1, min(20, _REPLAYED // (trials * epochs)))

    def mean(build: Callable[[], TrialScheduler]) -> Replayed:
        runs = [_replay_once(experiment, build(), slots, costs, trials, seed) for seed in range(repeats)]
        return Replayed(fmean(run.epochs for run in runs), fmean(run.seconds for run in runs))

    return mean(FIFOScheduler), mean(lambda: build_scheduler(experiment))


def replay_retraining(experiment: Experiment, slots: int, epoch_seconds: float) -> float:
    """Seconds of retraining winner and baseline, each with every seed, to the last epoch, in the trials' processes."""
    count = 2 * experiment.search.winner_seeds
    costs = Costs(0.0, 0.0, _overhead(experiment), [epoch_seconds])
    return _replay_once(experiment, FIFOScheduler(), slots, costs, count, 0).seconds


def _overhead(experiment: Experiment) -> float:
    return WORKERS_SECONDS if experiment.resources.workers_per_trial else TRIAL_SECONDS


def _replay_once(
    experiment: Experiment, scheduler: TrialScheduler, slots: int, costs: Costs, trials: int, seed: int
) -> Replayed:
    """One study in simulated time."""
    draw = random.Random(seed)
    metric = experiment.search.metric
    queue: list[tuple[float, int, int, float, float]] = []  # when an epoch ends, trial, epoch, its seconds, quality
    run, last, begun = 0, 0.0, 0

    def begin(now: float) -> None:
        nonlocal begun
        seconds = draw.choice(costs.epochs)
        scheduler.on_trial_add(None, SearchTrial(str(begun), begun))
        heapq.heappush(queue, (now + costs.trial + seconds, begun, 1, seconds, draw.random()))
        begun += 1

    for slot in range(min(slots, trials)):
        begin(costs.first + costs.actor * slot)
    while queue:
        last, number, epoch, seconds, quality = heapq.heappop(queue)
        run += 1
        answer = scheduler.on_trial_result(
            None, SearchTrial(str(number), number), {"epoch": epoch, metric: quality, f"best_{metric}": quality}
        )
        if epoch < experiment.training.epochs and answer == TrialScheduler.CONTINUE:
            heapq.heappush(queue, (last + seconds, number, epoch + 1, seconds, quality))
        elif begun < trials:
            begin(last)
    return Replayed(run, last)

"""How long a study still takes: one estimate over the search, the retrainings and the test that follow. Neither Ray nor
torch is imported; a clock can be given, so that a recorded study can be replayed."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

EXPECTED_SHARE = 0.6  # of a trial's epochs under a scheduler, before trials of this study say better
_PRIOR_TRIALS = 2.0  # trials that the expected share weighs as much as
_SMOOTHING = 0.3  # share of a new estimate at each epoch
_SCORING_S = 3.0  # of ending Ray, opening images and writing results; 2.8 to 3.9 in three recorded studies
_STEADY = 3  # ended epochs from which on their distance is the pace; before, the time since the start is
_ENOUGH = 12  # epochs of retrainings whose pace is taken for that of the rest
_WINDOW = 13  # of them at most, as a shared machine changes its pace
_FORWARD = 1 / 3  # of an image's time in training that testing it takes


@dataclass(frozen=True)
class Work:
    """What a study consists of. test_epochs: images of all test passes over training images of an epoch.

    test_s: seconds of the test that are known already, as those of extracting its features.
    """

    trials: int
    epochs: int
    share: float
    retrainings: int
    test_epochs: float = 0.0
    test_s: float = 0.0


@dataclass(frozen=True)
class State:
    """Where a study is: epochs of every ended trial, of every running one, and of the retrainings together.

    cost: what an epoch of a retraining takes, over the mean epoch of the search.
    """

    ended: Sequence[int] = ()
    running: Sequence[int] = ()
    retrained: int = 0
    cost: float = 1.0
    searching: bool = True


@dataclass
class Forecast:
    """Seconds left. An ended epoch makes a new estimate; between epochs the last one counts down.

    The first estimates, of a study whose first trial ends before its third epoch, count its start as work. A resumed
    study has an estimate at once, by the pace that its record has.
    """

    work: Work
    clock: Callable[[], float] = time.monotonic
    ends: list[float] = field(default_factory=list)  # when each epoch ended since the start or resume
    retrained: list[float] = field(default_factory=list)  # when each epoch of a retraining ended
    anchor: tuple[float, float] | None = None  # when, and how many seconds were left then
    recorded: bool = False  # the anchor follows from the record of an earlier sitting
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock()

    def resume(self, pace: float, state: State) -> None:
        """Estimate by seconds of a mean epoch, all slots together, before an epoch ends in this sitting."""
        if not self.ends:
            self.recorded = True
            self.anchor = (self.clock(), self._seconds(pace, state))

    def epoch(self, state: State) -> None:
        """Make a new estimate: an epoch ended just now, which led to this state."""
        self.ends.append(now := self.clock())
        if state.retrained:
            self.retrained.append(now)
        steady = len(self.ends) >= _STEADY and now > self.ends[0]
        if not steady and (self.recorded or not (self._trial_ended(state) and now > self.began)):
            return
        fresh = self._seconds(self._seconds_per_epoch(state, now), state)
        before = self.left() if len(self.ends) > _STEADY or self.recorded else None
        smooth = fresh if before is None else before + _SMOOTHING * (fresh - before)
        self.anchor = (now, smooth)

    def _seconds(self, pace: float, state: State) -> float:
        epochs = self.epochs_left(state) + self.work.test_epochs * _FORWARD
        return pace * epochs + _SCORING_S + self.work.test_s

    def _trial_ended(self, state: State) -> bool:
        return bool(state.ended or state.retrained or any(done >= self.work.epochs for done in state.running))

    def _seconds_per_epoch(self, state: State, now: float) -> float:
        """Seconds of a mean epoch of the search, all slots together; from the last retrainings once there are some."""
        if len(self.retrained) >= _ENOUGH and now > self.retrained[0]:
            last = self.retrained[-_WINDOW:]
            return (now - last[0]) / (len(last) - 1) / state.cost
        steady = len(self.ends) >= _STEADY and now > self.ends[0]
        since, epochs = (self.ends[0], len(self.ends) - 1) if steady else (self.began, len(self.ends))
        retrained = min(state.retrained, epochs)
        return (now - since) / (epochs - retrained + state.cost * retrained)

    def left(self) -> float | None:
        """Seconds until the study is tested; None before a trial or the third epoch ended since the start or resume."""
        if self.anchor is None:
            return None
        when, seconds = self.anchor
        return max(seconds - (self.clock() - when), 1.0)

    def epochs_left(self, state: State) -> float:
        """Epochs still to be run, by trials under early stopping and by retrainings, which run to their end."""
        work = self.work
        retraining = state.cost * max(work.retrainings * work.epochs - state.retrained, 0)
        if not state.searching:
            return retraining
        known = _PRIOR_TRIALS * work.share * work.epochs + sum(state.ended)
        mean = known / (_PRIOR_TRIALS + len(state.ended))
        missing = max(work.trials - len(state.ended) - len(state.running), 0)
        started = sum(max(mean - done, (work.epochs - done) / 2) for done in state.running)
        return missing * mean + started + retraining

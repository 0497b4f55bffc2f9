"""Greedy selection of the models whose logits are averaged, with replacement."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 50  # so that a weight may be as small as 0.02
Score = Callable[[np.ndarray], tuple[float, ...]]  # from averaged logits, float64 [n]; larger is better


@dataclass(frozen=True)
class Selection:
    """How many times each model was taken, in the order given; and the score of the average."""

    counts: tuple[int, ...]
    score: tuple[float, ...]

    @property
    def weights(self) -> tuple[float, ...]:
        """The weights of the average, which sum to 1."""
        return tuple(count / sum(self.counts) for count in self.counts)


def greedy_selection(logits: Sequence[np.ndarray], score: Score, rounds: int = ROUNDS) -> Selection:
    """Add the model that makes the average best, `rounds` times, and keep the first of the best averages on the way.

    logits: one float [n] a model. Of equal scores the model given first is taken. Caruana, Niculescu-Mizil, Crew and
    Ksikes (2004), "Ensemble selection from libraries of models", ICML, sections 2 and 2.1; the average is of logits.
    """
    counts = [0] * len(logits)
    total = np.zeros(len(logits[0]))
    best: Selection | None = None
    for number in range(1, rounds + 1):
        scores = [score((total + one) / number) for one in logits]
        taken = max(range(len(logits)), key=lambda at: (scores[at], -at))
        counts[taken] += 1
        total = total + logits[taken]
        if best is None or scores[taken] > best.score:
            best = Selection(tuple(counts), scores[taken])
    assert best is not None  # there is a round
    return best

"""How sure the result of a study is: spread over seeds, gain over the baseline, noise of selection."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cifake_ray.reporting.formatting import NOTHING, known, percent, points, points_with_interval
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.winners import study_gain
from cifake_ray.stats.intervals import Interval

_GAIN_METHOD = (
    "Gain over the baseline: mean difference over the same test images and seeds. Its interval adds the variance over "
    "images to that over seeds (t distribution, degrees of freedom by Welch and Satterthwaite), so it covers the "
    "choice of both."
)
_NOISE_METHOD = (
    "Selection noise: the winner's validation accuracy in the search minus the mean of its retrainings. The best of "
    "many trials is partly the luckiest, so it is usually above zero."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for each study that is retrained."""
    retrained = (certainty(study) for study in studies if not study.is_blend)
    rows = [_row(found) for found in retrained if known(found.retrained)]
    return Section("How sure", tables=(Table(rows),), method=f"{_GAIN_METHOD} {_NOISE_METHOD}") if rows else None


@dataclass(frozen=True)
class Certainty:
    """Of one study; accuracies 0..1, NaN where not measured. deviation: of test accuracy over seeds, n - 1."""

    study: str
    seeds: tuple[float, ...]
    deviation: float
    gain: Interval | None
    searched: float
    retrained: float

    @property
    def noise(self) -> float:
        return self.searched - self.retrained


def certainty(study: Study) -> Certainty:
    """What is known of a study's winner; test accuracies without duplicates of train images."""
    winner = study.outcome("tuned")
    seeds = winner.seeds if winner else []
    tested = tuple(value for seed in seeds if not math.isnan(value := seed.test_dedup.accuracy.value))
    retrained = [seed.val_accuracy for seed in seeds]
    return Certainty(
        study.name,
        tested,
        float(np.std(tested, ddof=1)) if len(tested) > 1 else math.nan,
        study_gain(study),
        float(study.trial("tuned").get("val_accuracy", math.nan)),
        float(np.mean(retrained)) if retrained else math.nan,
    )


def _row(found: Certainty) -> dict[str, str]:
    return {
        "Study": found.study,
        "Test % of each seed": ", ".join(map(percent, found.seeds)) or NOTHING,
        "Spread over seeds, points": percent(found.deviation) if known(found.deviation) else NOTHING,
        "Gain over the baseline, points": points_with_interval(found.gain) if found.gain else NOTHING,
        "Best validation % in the search": percent(found.searched),
        "Validation % retrained": percent(found.retrained),
        "Selection noise, points": points(found.noise),
    }

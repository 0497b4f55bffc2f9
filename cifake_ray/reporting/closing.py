"""The end of a study in four lines: the result, the winner's settings, the run's path, the next commands.

A fifth line, after the result, has what the study left out of its training.
"""

import math
import shlex
from pathlib import Path
from typing import Any

from cifake_ray.console import duration, percent
from cifake_ray.reporting.by_group import left_out
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.winners import gain, validation_auc
from cifake_ray.runs.records import BlendNote, Winner
from cifake_ray.stats.classification import constant_accuracy


def closing_lines(study: Study) -> list[str]:
    """Four lines about a study that has ended, five where it left out groups of images.

    Accuracies in percent, gain in percentage points, both at 95 %.
    """
    return [
        " · ".join(part for part in (_result(study), _gain_words(study), _duration(study)) if part),
        *_left_out_line(study),
        f"  {_settings(study)}",
        f"  run: {study.path.absolute()}",
        f"  next: {_next_commands(study.path)}",
    ]


def _result(study: Study) -> str:
    """`rn: 94.43 % [92.80, 95.66] on 1,000 test images`, without the copies of train images among them."""
    winner, found = study.outcome("tuned"), study.mean("tuned").headline.accuracy
    if winner is None or math.isnan(found.value):
        return f"{study.name}: not tested"
    images = _test_images(study)
    on = f" on {images:,} test images" if images else ""
    seeds = len(winner.seeds)
    where = f" ({study.card.note})" if study.card.note else ""
    mean_of = f", mean of {seeds} retrainings" if seeds > 1 else ""
    words = f"{on}{where}{mean_of}{_beside_constant(study, found.low)}{_turned(winner)}"
    return f"{study.name}: {percent(found.value)} [{_points(found.low)}, {_points(found.high)}]{words}"


def _left_out_line(study: Study) -> list[str]:
    """`left out of training, judged rightly: generator sd14 71.20 % [68.10, 74.10] of 900 images`."""
    found = []
    for one in left_out(study):
        row, value = one.row, f" {percent(one.row.right.value)}" if one.row.large else ""
        limits = f"[{_points(row.right.low)}, {_points(row.right.high)}]"
        found.append(f"{row.column} {row.value}{value} {limits} of {row.images:,} images")
    return [f"  left out of training, judged rightly: {', '.join(found)}"] if found else []


def _beside_constant(study: Study, low: float) -> str:
    """A warning where the interval does not lie above what one constant answer reaches; "" elsewhere."""
    if study.predictions is None:
        return ""
    constant = constant_accuracy(study.predictions.without_duplicates().labels)
    return "" if low > constant else f", NOT surely better than one constant answer ({percent(constant)})"


def _turned(winner: Winner) -> str:
    """A warning where validation was ordered worse than by chance; "" elsewhere."""
    found = validation_auc(winner)
    return f", validation AUC {found:.4f}, BELOW 0.5: worse than chance" if found < 0.5 else ""


def _test_images(study: Study) -> int:
    """Test images that are no copy of a train image; 0 when not recorded."""
    test = study.records.test
    return max((test.test_images or 0) - (test.duplicates_removed or 0), 0)


def _gain_words(study: Study) -> str:
    """What tuning gained or lost against the baseline; that nothing was searched, or that the baseline won."""
    if study.is_blend:
        return ""
    if not study.dimensions or study.experiment.search.trials == 1:
        return "nothing was searched"
    if (winner := study.outcome("tuned")) is not None and winner.trial_id == 0:
        return "no trial was better than the baseline"
    found = gain(study.predictions) if study.predictions is not None else None
    if found is None:
        return ""
    low, high = f"{100 * found.low:+.2f}", f"{100 * found.high:+.2f}"
    unsure = ", which may be chance" if found.low <= 0 <= found.high else ""
    return f"tuning changed the accuracy by {100 * found.value:+.2f} [{low}, {high}] points{unsure}"


def _duration(study: Study) -> str:
    seconds = study.records.environment.seconds
    return "" if math.isnan(seconds) or seconds <= 0 else f"{duration(seconds)} without start and decoding"


def _settings(study: Study) -> str:
    winner = study.outcome("tuned")
    if study.is_blend:
        return _blend_words(study.records.blend)
    if not study.dimensions:
        return "trained: the values of the experiment, which lie in the run's experiment.yaml"
    params = {name: value for name, value in winner.params.items() if value is not None} if winner else {}
    words = " ".join(f"{name} {_short(value)}" for name, value in params.items())
    return f"winner: trial {winner.trial_id if winner else '?'}, {words or 'the values of the experiment'}"


def _blend_words(note: BlendNote) -> str:
    """`0.60 a + 0.40 b, chosen on 20,000 validation images: 98.10 % there; alone a 97.90 %, b 97.20 %`."""
    alone = ", ".join(f"{member.run} {percent(member.val_accuracy)}" for member in note.members)
    images = f"{note.validation_images or 0:,} validation images"
    return f"{note.words}, chosen by {note.metric} on {images}: {percent(note.val_accuracy)} there; alone {alone}"


def _next_commands(path: Path) -> str:
    run = shlex.quote(_nearest(path))
    commands = (f"report {run}", f"predict {run} IMAGE...", f"evaluate {run} --robustness")
    return " · ".join(f"cifake-ray {command}" for command in commands)


def _nearest(path: Path) -> str:
    """The path as it is typed from here: relative where the run lies below this folder."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _points(share: float) -> str:
    return f"{100 * share:.2f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

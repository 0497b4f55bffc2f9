"""What the trials of an experiment may request of each pretrained network; `path`: what stands before its keys."""

import itertools
from typing import Any

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Fit

MOST_PASSES = 32  # over all images; a space with more nearly always has a range without a step


def asked_names(experiment: Experiment, path: str) -> list[str]:
    """The names of weights that a trial may start a network from, the baseline's first."""
    return list(dict.fromkeys(map(str, experiment.model_values(f"{path}weights"))))


def asked_stages(experiment: Experiment, path: str) -> tuple[str, ...]:
    """Every stage of a network that a trial may request."""
    stages = (stage for value in experiment.model_values(f"{path}stages") for stage in _split(value))
    return tuple(dict.fromkeys(stages))


def asked_columns(experiment: Experiment, path: str) -> tuple[str, ...]:
    """Every `stage.statistic` of a network that a trial may request."""
    backbone = dict(experiment.model.backbones_by_path)[path]
    stages, pools = ([_split(value) for value in experiment.model_values(path + key)] for key in ("stages", "pool"))
    combined = (
        backbone.model_copy(update={"stages": one, "pool": pool}) for one, pool in itertools.product(stages, pools)
    )
    return tuple(dict.fromkeys(column for settings in combined for column in settings.columns))


def asked_sizes(experiment: Experiment) -> dict[str, list[tuple[int, int]]]:
    """For each network every (size of its input, side of the square) that a trial may request."""
    paths = [path for path, _ in experiment.model.backbones_by_path]
    choices = [_size_choices(experiment, path) for path in paths]
    found: dict[str, dict[tuple[int, int], None]] = {path: {} for path in paths}
    for chosen in itertools.product(*choices):
        side = max(size for sizes in chosen for size in sizes)
        for path, sizes in zip(paths, chosen, strict=True):
            found[path] |= dict.fromkeys((size, side) for size in sizes)
    return {path: list(pairs) for path, pairs in found.items()}


def asked_looks(experiment: Experiment) -> list[tuple[Fit, str]]:
    """Every fit that a trial may request, with each look at the squares of that fit, then those at augmented copies."""
    model, fits = experiment.model, experiment.model_values("fit")
    views, copies = _asked_views(experiment), _asked_copies(experiment)
    looks = [(fit, look) for fit in fits for look in model.model_copy(update={"fit": fit, "views": views}).looks]
    for fit, chosen in itertools.product(fits, experiment.model_values("views")):
        of_trial = model.model_copy(update={"fit": fit, "views": _split(chosen), "copies": copies})
        looks += [(fit, look) for look in of_trial.copy_looks]
    return list(dict.fromkeys(looks))


def _asked_copies(experiment: Experiment) -> int:
    """The most augmented copies that a trial may take."""
    return max(map(int, experiment.model_values("copies")))


def _asked_views(experiment: Experiment) -> tuple[str, ...]:
    return tuple(dict.fromkeys(view for value in experiment.model_values("views") for view in _split(value)))


def _size_choices(experiment: Experiment, path: str) -> list[tuple[int, ...]]:
    return [_split(value) for value in experiment.model_values(f"{path}image_size")]


def _split(value: Any) -> tuple[Any, ...]:
    """The values of a choice, which joins several by `+`."""
    if isinstance(value, int):
        return (value,)
    parts = value.split("+") if isinstance(value, str) else value
    return tuple(int(part) if str(part).isdigit() else part for part in parts)


def check_count(experiment: Experiment) -> None:
    """Raise InputError when these are too many passes; the tiles of one square count as one."""
    views, fits = _asked_views(experiment), experiment.model_values("fit")
    paths = [path for path, _ in experiment.model.backbones_by_path]
    sizes = {path: len({size for several in _size_choices(experiment, path) for size in several}) for path in paths}
    weights = {path: len(asked_names(experiment, path)) for path in paths}
    looks = len(views) + _asked_copies(experiment)
    if sum(sizes[path] * weights[path] for path in paths) * looks * len(fits) > MOST_PASSES:
        path = max(paths, key=lambda one: sizes[one])
        others = " and those of the other backbones" if len(paths) > 1 else ""
        raise InputError(
            f"search_space.{path}image_size: {sizes[path]} sizes x {weights[path]} weights x {looks} views and copies "
            f"x {len(fits)} fits{others} are as many passes over all images (at most {MOST_PASSES})",
            "give `choices`, or a `step` such as 32",
        )

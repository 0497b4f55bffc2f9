"""What a study searched: its search space, and what winner and baseline had of it."""

from typing import Any

from cifake_ray.console import counted
from cifake_ray.experiment import CategoricalDimension, Dimension
from cifake_ray.reporting.formatting import setting
from cifake_ray.reporting.load import Role, Study
from cifake_ray.reporting.section import Cell, Section, Table


def of_study(study: Study) -> Section:
    """How configurations were proposed, and a row for each searched hyperparameter."""
    space = [_space_row(study, name, dimension) for name, dimension in study.experiment.search_space.items()]
    empty = () if space else ("Nothing: the search space is empty, only the baseline was trained.",)
    tables = (Table(space, look="space"),) if space else ()
    return Section("What was searched", (_search_sentence(study), *_warm_start(study), *empty), tables)


def _search_sentence(study: Study) -> str:
    search, counts = study.experiment.search, study.counts()
    if not study.dimensions:
        return "One configuration was trained; nothing was searched."
    second = f" and {search.second_objective}" if search.second_objective else ""
    ended = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none"
    return (
        f"{search.sampler.upper()} proposed configurations for {search.metric}{second}; scheduler: {search.scheduler}. "
        f"Trials requested: {search.trials}; so far: {ended}. Trial 0 is the baseline."
    )


def _warm_start(study: Study) -> list[str]:
    """What the study took of earlier ones, none of whose trials is in its tables: a sentence each."""
    found = []
    for note in study.records.environment.warm_start:
        if note.known:
            found.append(f"Warm start: the sampler knew {counted(note.known, 'trial')} of {note.run}.")
        elif note.proposed:
            best = counted(note.proposed, "configuration")
            found.append(f"Warm start: the best of {note.run}, {best}, were tried after the baseline ({note.reason}).")
    return found


def _space_row(study: Study, name: str, dimension: Dimension) -> dict[str, str | Cell]:
    return {
        "Hyperparameter": name,
        "Tuned": Cell(setting(_params(study, "tuned").get(name))),
        "Baseline": setting(study.experiment.baseline_params().get(name)),
        "Range": _range(dimension),
    }


def _params(study: Study, role: Role) -> dict[str, Any]:
    winner = study.outcome(role)
    return (winner and winner.params) or study.trial(role)


def _range(dimension: Dimension) -> str:
    when = "".join(f", when {name} is {' or '.join(map(str, values))}" for name, values in dimension.when.items())
    if isinstance(dimension, CategoricalDimension):
        return ", ".join(map(str, dimension.choices)) + when
    scale = ", log scale" if dimension.log else ""
    step = f", step {dimension.step:g}" if dimension.step not in (None, 1) else ""
    return f"{dimension.low:g} to {dimension.high:g}{scale}{step}{when}"

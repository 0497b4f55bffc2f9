"""What a study takes of earlier ones: trials that its sampler knows, or else their best as first proposals.

A trial is known where a trial of this study with its values would be the same training, judged in the same way: the
same images, split, number of epochs and metric, every setting inside the search space, or as this study has it.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cifake_ray.console import counted
from cifake_ray.data.splits import differing_split
from cifake_ray.experiment import Experiment, Scalar, fitted, is_active, join_plus, keys_of, parents_first, value_at
from cifake_ray.runs.records import SCHEMA, KnownTrial, WarmNote, WarmStart
from cifake_ray.tuning.objectives import told_values
from cifake_ray.tuning.record import TrialRow
from cifake_ray.tuning.space import configuration_key
from cifake_ray.tuning.warm_start.parents import Parent

PROPOSED = 5  # configurations of a study whose trials cannot be known
_UNLEARNING = ("random", "grid", "qmc")  # samplers that propose without regard to earlier trials
CMAES_LEAST = 10  # trials, a tenth of which, rounded down, CMA-ES begins from
GP_MOST = (
    500  # trials of a parent: a first proposal of a GP takes 1.3 s of a core with 500 known trials, 12 s with 1,000
)


@dataclass(frozen=True)
class Transfer:
    """What is taken of all parents: the record of the run, a note and a line for people for each parent."""

    start: WarmStart
    notes: tuple[WarmNote, ...]
    lines: tuple[str, ...]


@dataclass(frozen=True)
class _Taken:
    """What is taken of one parent."""

    note: WarmNote
    known: Sequence[KnownTrial] = ()
    proposals: Sequence[dict[str, Scalar]] = ()


def transfer(parents: Sequence[Parent], experiment: Experiment, fingerprints: frozenset[str] | None) -> Transfer:
    """What a new study takes of its parents. fingerprints: of its images; None where these are not known yet."""
    taken: list[_Taken] = []
    tried = {configuration_key(experiment.baseline_params())}
    for parent in parents:
        taken.append(_take(parent, experiment, fingerprints, tried))
        tried |= {configuration_key(params) for params in taken[-1].proposals}
    start = WarmStart(
        schema_version=SCHEMA,
        known=[trial for one in taken for trial in one.known],
        proposals=[params for one in taken for params in one.proposals],
    )
    notes = tuple(one.note for one in taken)
    return Transfer(start, notes, tuple(_line(note, experiment, certain=fingerprints is not None) for note in notes))


def _take(
    parent: Parent, experiment: Experiment, fingerprints: frozenset[str] | None, tried: set[Any]
) -> _Taken:  # fmt: skip
    about = WarmNote(run=parent.name, trials=len(parent.rows))
    reason = obstacle(parent, experiment, fingerprints)
    if not reason:
        known, outside = _known(parent, experiment)
        if len(known) >= _least(experiment):
            kept = _thinned(known, experiment)
            dropped = len(parent.rows) - len(known)
            note = WarmNote(known=len(kept), dropped=dropped, thinned=len(known) - len(kept), outside=outside)
            return _Taken(about.updated(note), kept)
        few = f"{len(known)} of its {counted(len(parent.rows), 'trial')} lie in this study's space"
        reason = f"{few} ({_counts(outside)})" if outside else few
        if known:
            reason += f", and {experiment.search.sampler} needs {_least(experiment)}"
    proposals, outside = _proposals(parent, experiment, tried)
    note = about.updated(WarmNote(proposed=len(proposals), outside=outside, reason=reason))
    return _Taken(note, proposals=proposals)


def obstacle(parent: Parent, experiment: Experiment, fingerprints: frozenset[str] | None) -> str:
    """Why no trial of the parent can be known to this study; empty where nothing speaks against it."""
    theirs, search = parent.experiment, experiment.search
    if theirs.model.kind != experiment.model.kind:
        return f"another kind of model ({theirs.model.kind})"
    if fingerprints is not None and not parent.fingerprints & fingerprints:
        return "other images" if parent.fingerprints else "its images are not recorded"
    if different := differing_split(theirs.data, experiment.data):
        return f"another split (data.{', data.'.join(different)})"
    if (epochs := theirs.training.epochs) != experiment.training.epochs:
        return f"{counted(epochs, 'epoch')} instead of {experiment.training.epochs}"
    if theirs.search.metric != search.metric:
        return f"another metric ({theirs.search.metric})"
    if search.sampler in _UNLEARNING:
        return f"{search.sampler} learns nothing from known trials"
    if (second := search.second_objective) and not any(second in row.best for row in parent.rows):
        return f"its trials have no figure of {second}"
    return ""


def _least(experiment: Experiment) -> int:
    """Known trials that the sampler needs."""
    return CMAES_LEAST if experiment.search.sampler == "cmaes" else 1


def _different(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    return [key for key in {**left, **right} if left.get(key) != right.get(key)]


def _known(parent: Parent, experiment: Experiment) -> tuple[list[KnownTrial], dict[str, int]]:
    """The trials that are trainings of this study too; and the keys whose values excluded the others, counted."""
    known: list[KnownTrial] = []
    outside: Counter[str] = Counter()
    for row in parent.rows:
        theirs = parent.experiment.with_params(row.params)
        params, wrong = _fit(theirs, experiment)
        wrong = wrong or [key for key in _differing(theirs, experiment.with_params(params)) if key not in params]
        values = told_values(experiment.search, row.best)
        if values is None or not all(map(math.isfinite, values)):
            wrong = wrong or [str(experiment.search.second_objective)]
        if wrong:
            outside.update(wrong)
        elif values is not None:
            last = row.curve[max(row.curve)][experiment.search.metric]
            status: Any = row.status
            known.append(KnownTrial(params=params, status=status, epochs=max(row.curve), values=values, last=last))
    return known, dict(outside)


def _thinned(known: list[KnownTrial], experiment: Experiment) -> list[KnownTrial]:
    """The known trials, for a GP at most GP_MOST of them, evenly over their ranks."""
    if experiment.search.sampler != "gp" or len(known) <= GP_MOST:
        return known
    ranked_known = sorted(known, key=lambda trial: -experiment.search.metric.score(trial.values[0]))
    return [ranked_known[at * len(known) // GP_MOST] for at in range(GP_MOST)]


def _fit(theirs: Experiment, experiment: Experiment) -> tuple[dict[str, Scalar], list[str]]:
    """The configuration with the settings of `theirs`, and the active keys whose value lies outside.

    Such a key has this study's own value.
    """
    params: dict[str, Scalar] = {}
    outside: list[str] = []
    for name in parents_first(experiment.search_space):
        dimension = experiment.search_space[name]
        if not is_active(dimension, params):
            continue
        found = fitted(dimension, value) if (value := _setting(theirs, name)) is not None else None
        if found is None:
            outside.append(name)
            found = fitted(dimension, _setting(experiment, name))
            assert found is not None  # the experiment was validated so
        params[name] = found
    return {name: params[name] for name in experiment.search_space if name in params}, outside


def _setting(experiment: Experiment, name: str) -> Any:
    """The experiment's own value of a searchable key, as a search space has it; None where its model lacks the key."""
    section = next((one for one in (experiment.model, experiment.training) if name in keys_of(one)), None)
    return None if section is None else join_plus(value_at(section, name))


def _differing(theirs: Experiment, ours: Experiment) -> list[str]:
    """The keys of model and training in which two resolved trials differ, the seed aside."""
    model = _different(theirs.model.model_dump(mode="json"), ours.model.model_dump(mode="json"))
    seedless = (one.training.model_dump(mode="json", exclude={"seed"}) for one in (theirs, ours))
    return [*model, *_different(*seedless)]


def _proposals(
    parent: Parent, experiment: Experiment, tried: set[Any]
) -> tuple[list[dict[str, Scalar]], dict[str, int]]:
    """The parent's best configurations as ones of this study, none of them tried; and the values outside, by key."""
    proposals: list[dict[str, Scalar]] = []
    outside: Counter[str] = Counter()
    seen = set(tried)
    for row in ranked(parent):
        params, wrong = _fit(parent.experiment.with_params(row.params), experiment)
        if wrong == list(params) or configuration_key(params) in seen:
            continue
        seen.add(configuration_key(params))
        proposals.append(params)
        outside.update(wrong)
        if len(proposals) == PROPOSED:
            break
    return proposals, dict(outside)


def ranked(parent: Parent) -> list[TrialRow]:
    """The parent's trials, best first by its metric; with a second objective those on the Pareto front first."""
    search = parent.experiment.search

    def score(row: TrialRow) -> float:
        return search.metric.score(row.value(search.metric) or 0.0)

    best_first = sorted(parent.rows, key=lambda row: (-score(row), row.trial_id))
    second = search.second_objective
    if second is None:
        return best_first
    front, least = [], math.inf
    for row in best_first:
        if (cost := row.best.get(second, math.inf)) < least:
            front.append(row)
            least = cost
    kept = {row.trial_id for row in front}
    return [*front, *(row for row in best_first if row.trial_id not in kept)]


def _line(note: WarmNote, experiment: Experiment, *, certain: bool) -> str:
    """One line for people about what is taken of a parent; `certain`: whether the images are known."""
    begin = f"warm start from {note.run}: "
    unsure = "" if certain or note.reason else "; not checked: whether the images are those of that study"
    if note.known:
        dropped = f"; {note.dropped} dropped for values outside ({_counts(note.outside)})" if note.dropped else ""
        dropped += f"; {note.thinned} left out evenly over the ranks, as more make a GP slow" if note.thinned else ""
        return (
            f"{begin}{experiment.search.sampler} knows {note.known} of its {counted(note.trials, 'trial')}"
            f"{dropped}{unsure}"
        )
    if not note.proposed:
        return f"{begin}nothing, as its best configurations are proposed already ({note.reason})"
    best = "best configuration is the first proposal" if note.proposed == 1 else (
        f"{note.proposed} best configurations are the first proposals"
    )  # fmt: skip
    own = f"; values outside, replaced by this study's own: {_counts(note.outside)}" if note.outside else ""
    return f"{begin}its {best} after the baseline, and its trials are not known: {note.reason}{own}"


def _counts(outside: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in outside.items())

"""The sampler's own study, of a study with known trials: those first, then the journal's; in memory alone.

The journal, and with it tables, ranking, scheduler and report, holds no known trial. At a resume the sampler's study is
made anew from warm_start.json and the journal, which also keeps what a sampler stores of its state with each trial.
"""

from collections.abc import Sequence
from typing import Any

import optuna
from optuna.samplers import NSGAIISampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from cifake_ray.experiment import Experiment, Search
from cifake_ray.runs.records import KnownTrial
from cifake_ray.tuning.objectives import stopped_is_complete
from cifake_ray.tuning.space import build_sampler, distributions, suggest_params

_FIXED = "fixed_params"  # Optuna's attribute of a trial with given values


class SamplerStudy:
    """Proposes by known trials and those of the journal, whose trial n is trial n + `known` here."""

    def __init__(self, experiment: Experiment, journal: optuna.Study, known: Sequence[KnownTrial]) -> None:
        self.space, self.journal = experiment.search_space, journal
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        trials = [frozen(trial, experiment) for trial in known]
        sampler = build_sampler(experiment, len(journal.get_trials(deepcopy=False)), trials)
        self.study = optuna.create_study(directions=journal.directions, sampler=sampler)
        self.study.add_trials(trials)
        self.known = len(trials)
        self._mirrored = 0  # trials of the journal
        self._running: set[int] = set()  # their numbers in the journal

    def enqueue(self) -> None:
        """Append a proposal to the journal, to be asked for next. No trial of the journal may be waiting."""
        self._mirror()
        trial = self.study.ask()
        params = suggest_params(trial, self.space)
        state = self.study.get_trials(deepcopy=False)[-1].system_attrs
        self.journal.add_trial(create_trial(state=TrialState.WAITING, system_attrs={**state, _FIXED: params}))
        self._running.add(self._mirrored)
        self._mirrored += 1

    def _mirror(self) -> None:
        """Take over what the journal has and this study lacks: new trials, and how trials ended."""
        trials = self.journal.get_trials(deepcopy=False)
        for trial in [trials[number] for number in sorted(self._running)]:
            if trial.state.is_finished():
                self._end(trial)
        for trial in trials[self._mirrored :]:
            self.study.add_trial(_copied(trial))
            if not trial.state.is_finished():
                self._running.add(trial.number)
        self._mirrored = len(trials)

    def _end(self, trial: FrozenTrial) -> None:
        number = self.known + trial.number
        storage = self.study._storage
        here = storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)
        for step, value in trial.intermediate_values.items():
            storage.set_trial_intermediate_value(here, step, value)
        if trial.state == TrialState.COMPLETE:
            self.study.tell(number, trial.values)
        else:
            self.study.tell(number, state=trial.state)
        self._running.remove(trial.number)


def frozen(known: KnownTrial, experiment: Experiment) -> FrozenTrial:
    """A known trial in Optuna's words, as the study would have told the sampler its end."""
    space = distributions(experiment)
    about: dict[str, Any] = {
        "params": dict(known.params),
        "distributions": {name: space[name] for name in known.params},
        "system_attrs": _system_attributes(experiment.search),
    }
    if known.status == "completed" or stopped_is_complete(experiment.search):
        return create_trial(values=known.values, **about)
    return create_trial(
        state=TrialState.PRUNED, value=known.last, intermediate_values={known.epochs: known.last}, **about
    )


def _system_attributes(search: Search) -> dict[str, Any]:
    """NSGA-II takes trials without a generation for no population: the known ones are its first."""
    return {NSGAIISampler._get_generation_key(): 0} if search.sampler == "nsga2" else {}


def _copied(trial: FrozenTrial) -> FrozenTrial:
    """The journal's trial for another study, with what samplers read of it."""
    values = trial.values if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) else None
    return create_trial(
        state=trial.state,
        values=values,
        params=dict(trial.params),
        distributions=dict(trial.distributions),
        system_attrs={key: value for key, value in trial.system_attrs.items() if key != _FIXED},
        intermediate_values=dict(trial.intermediate_values),
    )

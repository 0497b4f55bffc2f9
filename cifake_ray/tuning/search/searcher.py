"""Ray Tune's searcher over an Optuna study: `suggest` calls `Study.ask`, `on_trial_complete` calls `Study.tell`.

Ray's own `OptunaSearch` enqueues the baseline again on a resumed study, tells stopped trials as complete, and has no
hook for duplicates or for trials that a killed driver left running; hence this one.
"""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import optuna
from ray.tune.search import Searcher

from cifake_ray.experiment import MOST_CONFIGURATIONS, all_configurations, count_configurations
from cifake_ray.runs.records.store import read_warm_start
from cifake_ray.tuning.record import StudyRecord
from cifake_ray.tuning.search.known import SamplerStudy
from cifake_ray.tuning.space import build_sampler, configuration_key, suggest_params

_DUPLICATES_IN_A_ROW = 5  # proposals, before an untried configuration is drawn: a GP takes a second for each


class JournalSearch(Searcher):  # type: ignore[misc]
    """A searcher that Tune need not save: the journal holds everything. (Tune pickles it and writes it to a folder.)"""

    def __getstate__(self) -> dict[str, Any]:
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        pass

    def save(self, checkpoint_path: str) -> None:
        pass

    def restore(self, checkpoint_path: str) -> None:
        pass


class StudySearch(JournalSearch):
    """Hands out interrupted trials first, then new proposals, until `search.trials` are finished or under way.

    The baseline is the first proposal; the run's warm_start.json has those that follow, and the trials that the sampler
    knows of other studies.
    """

    def __init__(self, record: StudyRecord, slots: Callable[[], int]) -> None:
        super().__init__()
        self.record, self.slots = record, slots
        self.experiment = record.experiment
        self.space = self.experiment.search_space
        self.live: dict[str, int] = {}  # Ray's trial name -> trial_id
        self.exhausted = False
        self._interrupted = [row.trial_id for row in record.with_status("interrupted")]
        self._tried = {configuration_key(row.params): row.trial_id for row in reversed(list(record.rows.values()))}
        study, warm = record.study, read_warm_start(record.run)
        begun = len(study.get_trials(deepcopy=False))
        study.sampler = build_sampler(self.experiment, begun)
        for params in [self.experiment.baseline_params(), *warm.proposals][begun:]:
            study.enqueue_trial(params)
        self._knowing = SamplerStudy(self.experiment, study, warm.known) if warm.known else None

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        """The next trial's config; None while all slots are taken; FINISHED when no trial is left to start."""
        if len(self.live) >= self.slots():
            return None
        if self._interrupted:
            number = self._interrupted.pop(0)
            params = self.record.rows[number].params
        elif self.record.finished + len(self.live) >= self.experiment.search.trials:
            return str(self.FINISHED)
        elif (proposed := self._propose()) is None:
            self.exhausted = True
            return str(self.FINISHED)
        else:
            number, params = proposed
        row = self.record.start(number, params)
        self._tried.setdefault(configuration_key(params), number)
        self.live[trial_id] = number
        seed = self.experiment.training.seed + number
        return {"trial_id": number, "params": row.params, "seed": seed, "folder": f"trials/{number}"}

    def _propose(self) -> tuple[int, dict[str, Any]] | None:
        """A new configuration, with its number; None when every configuration of the space was tried."""
        tries = self._waiting() if self.experiment.search.sampler == "grid" else _DUPLICATES_IN_A_ROW
        for _ in range(tries):
            if self._knowing is not None and not self._waiting():
                self._knowing.enqueue()
            number, params = self._ask()
            known = self._tried.get(configuration_key(params))
            if known is None:
                return number, params
            self.record.discard(number, f"duplicate of trial {known}")
        return self._propose_untried()

    def _propose_untried(self) -> tuple[int, dict[str, Any]] | None:
        """An untried configuration, drawn from all that are left, or at random where these are too many to list."""
        draw = random.Random(self.experiment.training.seed + len(self._tried))
        if count_configurations(self.space) > MOST_CONFIGURATIONS:
            with _sampler(self.record.study, optuna.samplers.RandomSampler(seed=draw.getrandbits(31))):
                return self._ask()
        untried = [params for params in all_configurations(self.space) if configuration_key(params) not in self._tried]
        if not untried:
            return None
        self.record.study.enqueue_trial(draw.choice(untried))
        return self._ask()

    def _waiting(self) -> int:
        """How many configurations were enqueued and not asked for yet."""
        return len(self.record.study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.WAITING,)))

    def _ask(self) -> tuple[int, dict[str, Any]]:
        """A proposal's number and configuration: the first that waits, else the sampler's next one."""
        trial = self.record.study.ask()
        suggest_params(trial, self.space)
        return trial.number, trial.params

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if trial_id in self.live and "val_loss" in result:
            self.record.add_epoch(self.live[trial_id], result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.live.pop(trial_id, None)
        if number is None or self.record.rows[number].status != "running":
            return  # it was interrupted, and Tune saw its process end
        result = result or {}
        if "storage" in result:
            return  # the study is about to stop, and this trial to be interrupted
        if "val_loss" in result:
            self.record.add_epoch(number, result)
        if error:
            self.record.finish(
                number, "failed", self.record.deaths.get(str(number), "its process could not be started")
            )
        elif "failed" in result:
            self.record.finish(number, "failed", str(result["failed"]))
        else:
            done = len(self.record.rows[number].curve) >= self.experiment.training.epochs
            self.record.finish(number, "completed" if done else "stopped")


@contextmanager
def _sampler(study: optuna.Study, sampler: optuna.samplers.BaseSampler) -> Iterator[None]:
    """Another sampler for the study, for a while."""
    usual, study.sampler = study.sampler, sampler
    try:
        yield
    finally:
        study.sampler = usual


class ChainedSearch(JournalSearch):
    """One searcher after another in the same trial processes; the second is made once no trial of the first is left.

    Starting a process that imports torch and Ray takes 5 s of a core: more than a head trains on cached features.
    """

    def __init__(self, first: StudySearch, then: Callable[[], "ListSearch"], on_idle: Callable[[], None]) -> None:
        """`on_idle` is called, more than once, when a slot is free and the first searcher has no trial left."""
        super().__init__()
        self.current: StudySearch | ListSearch = first
        self._then: Callable[[], ListSearch] | None = then
        self._on_idle = on_idle

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        config = self.current.suggest(trial_id)
        if config != self.FINISHED or self._then is None:
            return config
        if self.current.live:
            self._on_idle()
            return None
        self.current, self._then = self._then(), None
        return self.current.suggest(trial_id)

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        self.current.on_trial_result(trial_id, result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.current.on_trial_complete(trial_id, result, error)


class ListSearch(JournalSearch):
    """Hands out the given configs one after the other."""

    def __init__(self, configs: list[dict[str, Any]], slots: Callable[[], int]) -> None:
        super().__init__()
        self.waiting, self.slots = list(configs), slots
        self.live: set[str] = set()  # Ray's trial names

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if not self.waiting:
            return str(self.FINISHED)
        if len(self.live) >= self.slots():
            return None
        config = self.waiting.pop(0)
        self.live.add(trial_id)
        return config

    def on_trial_complete(self, trial_id: str, *outcome: Any, **named: Any) -> None:  # noqa: ARG002
        self.live.discard(trial_id)

"""Run directories as values: `load` is the one way to read a run. A half-finished run gives what is there."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from cifake_ray.data.datasets import recorded_card
from cifake_ray.data.datasets.card import Card
from cifake_ray.errors import InputError
from cifake_ray.experiment import SAMPLES, Experiment
from cifake_ray.reporting.predictions import Predictions, read_predictions
from cifake_ray.reporting.run_tables import read_curves, read_timeline, read_trials
from cifake_ray.reporting.verify import verified_test, verify_verdicts
from cifake_ray.runs.columns import FINISHED, STATUSES
from cifake_ray.runs.names import list_runs
from cifake_ray.runs.records import Mean, Winner
from cifake_ray.runs.records.store import Records, read_records
from cifake_ray.runs.resume import Storage
from cifake_ray.runs.run import Run

Role = Literal["tuned", "baseline"]
ROLES: tuple[Role, ...] = ("tuned", "baseline")


@dataclass(frozen=True, eq=False)
class Study:
    """One run as read: every part may be empty, as the files of a half-finished run are.

    trials: one row a trial, the columns of trials.csv (accuracies 0..1, seconds); curves: one row an epoch;
    timeline: the columns of timeline.csv; records: the JSON files. retested: False while a retraining newer than
    test.json waits for its test.
    """

    name: str
    path: Path
    experiment: Experiment
    trials: pd.DataFrame
    curves: pd.DataFrame
    timeline: pd.DataFrame
    records: Records
    retested: bool

    @functools.cached_property
    def stored(self) -> Predictions | None:
        """Each retraining's probabilities for every test image; read at the first use. Raises InputError if damaged.

        Subjects only where the data set's card has them: file names that look alike say nothing.
        """
        found = read_predictions(Run(self.path).predictions_file)
        if found is None or "subject" not in self.card.groups:
            return found and replace(found, subject=None)
        return found.with_names("subject", self.card.groups["subject"].values)

    @functools.cached_property
    def predictions(self) -> Predictions | None:
        """`stored` without test images that equal a train image."""
        return self.stored.without_duplicates() if self.stored else None

    @property
    def is_blend(self) -> bool:
        """Whether this is a blend of studies' models: nothing was searched or trained."""
        return not self.records.blend.empty

    @property
    def model_label(self) -> str:
        """The name of the model in tables."""
        return f"blend: {self.records.blend.words}" if self.is_blend else self.experiment.model.label

    @property
    def dimensions(self) -> list[str]:
        """The searched names, in the experiment's order."""
        return list(self.experiment.search_space)

    @functools.cached_property
    def card(self) -> Card:
        """The card of the data set that the images are, or are a part of."""
        noted = self.records.environment.data
        if noted.empty and self.experiment.data.source in SAMPLES:
            return recorded_card({"card": self.experiment.data.source})
        return recorded_card(noted.as_json())

    @property
    def whole_test(self) -> bool:
        """Whether the whole test part of a data set with a card was used."""
        images = sum(self.records.environment.data.test.values())
        return "test" in self.card.images and images == self.card.images["test"]

    def counts(self) -> dict[str, int]:
        """Number of trials of every status, zeros included."""
        found = self.trials["status"].value_counts()
        return {status: int(found.get(status, 0)) for status in STATUSES}

    def finished(self) -> int:
        """Trials that count against `--trials`: completed, stopped or failed."""
        return sum(self.counts()[status] for status in FINISHED)

    def outcome(self, role: Role) -> Winner | None:
        """What the role's retrainings and their test gave; None before the retraining.

        A baseline that won is retrained once: the tuned entry of trial 0 then serves both roles.
        """
        own, tuned = self.records.test.of_role(role), self.records.test.of_role("tuned")
        if own is None and role == "baseline" and tuned is not None and tuned.trial_id == 0:
            return tuned.model_copy(update={"role": role})
        return own

    def mean(self, role: Role) -> Mean:
        """Means over the role's seeds: empty before the retraining, without test scores before the test."""
        outcome = self.outcome(role)
        return outcome.mean if outcome else Mean()

    def tested(self, role: Role) -> bool:
        """Whether the role's retrainings were scored on the test part."""
        return not self.mean(role).test.empty

    def trial(self, role: Role) -> dict[str, Any]:
        """The row of trials.csv behind this role: the retrained one, else the best so far; trial 0 for the baseline."""
        if role == "baseline":
            chosen = self.trials[self.trials["trial_id"] == 0]
        elif (tuned := self.outcome("tuned")) is not None:
            chosen = self.trials[self.trials["trial_id"] == tuned.trial_id]
        else:
            chosen = self.ranked().head(1)
        return {str(key): value for key, value in chosen.iloc[0].items()} if len(chosen) else {}

    def ranked(self) -> pd.DataFrame:
        """Trials that have a result and did not fail, best first by the study's metric; ties to the earlier trial."""
        metric = self.experiment.search.metric
        usable = self.trials[self.trials[metric].notna() & (self.trials["status"] != "failed")]
        return usable.sort_values([metric, "trial_id"], ascending=[metric.mode == "min", True])


def cards_of(studies: Sequence[Study]) -> list[Card]:
    """The cards of the studies' images, without repeats."""
    return list({study.card.name: study.card for study in studies}.values())


def load(run_path: Path | str) -> Study:
    """The run in this directory, its test scores computed again from its predictions; unwritten files are empty.

    Raises InputError (one line) when the path is no run directory, a file in it is damaged or unreadable, or test.json
    contradicts the predictions.
    """
    study = _read(run_path)
    file = Run(study.path).test_file
    if study.stored is None or not file.exists() or not study.records.test.winners:
        return study
    verified = verified_test(study.records.test, study.stored, str(file))
    verify_verdicts(study.records.verdicts, study.records.calibrated, study.stored, str(Run(study.path).verdicts_file))
    return replace(study, records=replace(study.records, test=verified))


def _read(run_path: Path | str) -> Study:
    """The run as its files say, without the check against the predictions."""
    run = Run(Path(run_path).expanduser().resolve())
    experiment = run.experiment()
    try:
        return Study(
            name=run.name,
            path=run.path,
            experiment=experiment,
            trials=read_trials(run.trials_file, experiment),
            curves=read_curves(run.curves_file),
            timeline=read_timeline(run.timeline_file),
            records=read_records(run),
            retested=not (run.test_file.exists() and run.winners_file.exists()),
        )
    except OSError as error:
        raise InputError(
            f"{error.filename or run.path}: cannot be read ({error.strerror or error})", "make it readable"
        ) from error


def load_all(run_paths: Sequence[Path | str]) -> list[Study]:
    """The runs, each once; a second run of the same name is called `name-2`. Raises InputError for none at all."""
    if not run_paths:
        raise InputError("no run given", "name at least one run directory; `cifake-ray runs` lists them")
    paths = list(dict.fromkeys(Path(path).expanduser().resolve() for path in run_paths))
    studies: list[Study] = []
    for study in map(load, paths):
        taken = {other.name for other in studies}
        names = (study.name if i == 1 else f"{study.name}-{i}" for i in range(1, len(paths) + 2))
        studies.append(replace(study, name=next(name for name in names if name not in taken)))
    return studies


def readable_runs(run_paths: Sequence[Path | str]) -> tuple[list[Path], list[str]]:
    """The runs that can be read whole, and one line for each other run. Raises InputError when none can be read."""
    found: list[Path] = []
    faults: list[InputError] = []
    for path in dict.fromkeys(map(Path, run_paths)):
        try:
            load(path)
            found.append(path)
        except InputError as error:
            faults.append(error)
    if faults and not found:
        more = f" (and {len(faults) - 1} more runs)" if len(faults) > 1 else ""
        raise InputError(f"{faults[0].what}{more}", faults[0].cure)
    return found, list(map(str, faults))


def summarise_runs(storage: Storage) -> pd.DataFrame:
    """One row for every run under `storage`: name, model, data, trials by status, best val_accuracy (0..1), state, and
    how many trials were requested (`total`), when the run was `created` (ISO 8601), empty before it began.

    A run that cannot be read keeps its row; its state says why.
    """
    columns = ["name", "model", "data", "trials", "running", "completed", "stopped", "failed", "interrupted"]
    rows = [_summary(run) for run in list_runs(storage)]
    return pd.DataFrame(rows, columns=[*columns, "best_val_accuracy", "state", "total", "created"])


def state_of(study: Study) -> str:
    """Where the study stands, by its files: tested, searched, running, unfinished, failed or empty.

    A killed study reads `running` until it is resumed: only its writer can mark its trials as interrupted.
    """
    counts = study.counts()
    if study.is_blend:
        return "tested" if study.tested("tuned") else "unfinished"
    if study.trials.empty:
        return "empty"
    if counts["running"]:
        return "running"
    if any(map(study.tested, ROLES)):
        return "tested"
    if counts["failed"] == len(study.trials):
        return "failed"
    unfinished = counts["interrupted"] or study.finished() < study.experiment.search.trials
    return "unfinished" if unfinished else "searched"


def _summary(run: Run) -> dict[str, Any]:
    try:
        study = _read(run.path)
    except InputError as error:
        return {"name": run.name, "trials": 0, "state": f"damaged: {error}"}
    best = {"val_accuracy": study.records.blend.val_accuracy} if study.is_blend else study.trial("tuned")
    return {
        "name": study.name,
        "model": study.model_label,
        "data": study.records.environment.data.source or study.experiment.data.source,
        "trials": study.finished(),
        **study.counts(),
        "best_val_accuracy": best.get("val_accuracy", math.nan),
        "state": state_of(study),
        "total": None if study.is_blend else study.experiment.search.trials,
        "created": study.records.environment.created,
    }

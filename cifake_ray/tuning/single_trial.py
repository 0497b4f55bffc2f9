"""A study of one trial: how `train` runs one configuration through everything that a study has."""

import json

from cifake_ray.data import readable_source
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, override, validate_experiment
from cifake_ray.runs.records.store import read_retrained
from cifake_ray.runs.run import Run
from cifake_ray.runs.trust import run_model


def single_trial(experiment: Experiment, workers: int) -> Experiment:
    """The experiment's own values as the only trial, in `workers` data-parallel workers (0: one process)."""
    search = experiment.search.model_copy(update={"trials": 1, "scheduler": "none", "winner_seeds": 0})
    resources = experiment.resources.model_copy(update={"workers_per_trial": workers})
    return experiment.model_copy(update={"search": search, "resources": resources, "search_space": {}})


def best_of_run(run: Run, *, data: str | None, seed: int | None, settings: list[str]) -> Experiment:
    """The run's experiment with its best trial's values, on the run's own images or on `data`.

    Raises InputError when the run has no winner yet, its images cannot be found, or its Python file may not be run.
    """
    experiment = run.experiment()
    if run.blend_file.exists():
        raise InputError(f"{run.where}: a blend, which is not trained", "train one of the studies that it averages")
    winner = read_retrained(run).of_role("tuned")
    if winner is None:
        raise InputError(
            f"{run.where}: the study has no winner yet", f"finish it with `cifake-ray tune --resume {run.name}`"
        )
    tree = experiment.with_params(winner.params).model_dump(mode="json", by_alias=True)
    options = {"data.source": data or readable_source(run, experiment), "training.seed": seed}
    overrides = [*settings, *(f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None)]
    found = validate_experiment(override(tree, overrides), str(run.experiment_file), file=tree)
    return found.model_copy(update={"model": run_model(run, found.model)})

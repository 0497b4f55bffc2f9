"""The other side of studies.py: a process of a plain Optuna study. Arguments: the experiment, the journal."""

import sys
from pathlib import Path

import optuna
import torch
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import MaxTrialsCallback
from optuna.trial import TrialState

from cifake_ray.data import load_images, split_train
from cifake_ray.experiment import Experiment, load_experiment
from cifake_ray.models.families.cnn import normalise_images
from cifake_ray.models.registry import family_of
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, fit


def objective(trial: optuna.Trial, experiment: Experiment, data: TrainingSet) -> float:
    params = {name: trial.suggest_categorical(name, space.choices) for name, space in experiment.search_space.items()}
    chosen = experiment.with_params(params, seed=trial.number)
    torch.manual_seed(trial.number)
    work = Fit(family_of(chosen.model).start(chosen.model), data, chosen.training)
    return fit(work, lambda row: trial.report(row["val_accuracy"], int(row["epoch"]))).best.val_accuracy


def main() -> None:
    experiment = load_experiment(Path(sys.argv[1]), [])
    images = load_images(experiment.data.source).train
    split = split_train(images, experiment.data.val_fraction, experiment.data.split_seed)
    rows = (torch.from_numpy(part) for part in (split.train, split.validation))
    labels = torch.from_numpy(images.labels).float()
    data = TrainingSet(ImageInputs(torch.from_numpy(images.images)), labels, *rows, normalise_images)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(sys.argv[2])), study_name="grid", direction="maximize",
        load_if_exists=True,
        sampler=optuna.samplers.GridSampler({name: space.choices for name, space in experiment.search_space.items()}),
    )  # fmt: skip
    study.optimize(
        lambda trial: objective(trial, experiment, data),
        callbacks=[MaxTrialsCallback(experiment.search.trials, states=(TrialState.COMPLETE, TrialState.RUNNING))],
    )


if __name__ == "__main__":
    main()

"""The figures of validation: what they are, that all ranks have the same, and what a study does not ask for."""

import multiprocessing
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from cifake_ray.experiment import Metric
from cifake_ray.training.batches import ImageInputs
from cifake_ray.training.fit import Fit, fit
from cifake_ray.training.validation import evaluate, predict_batch, validation_figures

from .test_fit import ROWS, dense, run, small_fit, without_times

VALIDATION = ROWS - 64
GENERATORS = np.where(np.arange(VALIDATION) % 2 == 0, np.arange(VALIDATION) // 2 % 2, -1)  # of FAKE, label 0


def rich_fit(**settings: Any) -> Fit:
    """A fit whose validation pictures have generators and two degraded copies: darker, and black."""
    work = small_fit(network=dense(), **settings)
    inputs = work.data.inputs
    assert isinstance(inputs, ImageInputs)
    shown = inputs.images[work.data.validation]
    degraded = (ImageInputs(shown // 2), ImageInputs(torch.zeros_like(shown)))
    return replace(work, data=replace(work.data, generators=GENERATORS, degraded=degraded))


def test_balanced_accuracy_and_auc_are_those_of_scikit_learn() -> None:
    work = small_fit()
    fit(work, lambda _: None)
    rows = work.data.validation
    real = work.data.labels[rows].numpy() > 0.5
    logits = predict_batch(work, rows).numpy()
    found = validation_figures(work)
    assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(real, logits > 0))
    assert found["val_auc"] == pytest.approx(roc_auc_score(real, logits))
    assert (found["val_loss"], found["val_accuracy"]) == evaluate(work, rows)


def test_a_study_measures_only_the_figures_that_its_data_give() -> None:
    plain = run(small_fit(epochs=1))[0]
    assert {"val_balanced_accuracy", "val_auc", "best_val_auc"} <= set(plain)
    assert not {"val_worst_group", "val_degraded", "best_val_degraded"} & set(plain)
    rich = run(rich_fit(epochs=1))[0]
    assert {str(metric) for metric in Metric} <= set(rich)


def test_the_worst_generator_and_the_mean_over_degradations_are_what_they_say() -> None:
    work = rich_fit(epochs=1)
    fit(work, lambda _: None)
    found = validation_figures(work)
    rows = work.data.validation
    real = work.data.labels[rows].numpy() > 0.5
    right = (predict_batch(work, rows).numpy() > 0) == real
    each = [(right[number == GENERATORS].mean() + right[real].mean()) / 2 for number in (0, 1)]
    assert found["val_worst_group"] == pytest.approx(min(each))
    shares = [
        ((predict_batch(work, torch.arange(VALIDATION), inputs) > 0).numpy() == real).mean()
        for inputs in work.data.degraded
    ]
    assert shares[1] == 0.5  # black pictures are all alike
    assert found["val_degraded"] == pytest.approx(np.mean(shares))


def test_the_best_epoch_is_that_of_the_metric() -> None:
    for metric in (Metric.VAL_AUC, Metric.VAL_WORST_GROUP, Metric.VAL_DEGRADED, Metric.VAL_LOSS):
        work = replace(rich_fit(epochs=5, lr=1e-2), metric=metric)
        rows = run(work)
        values = [row[metric] for row in rows]
        assert rows[-1][f"best_{metric}"] == metric.best(values)
        assert rows[-1]["best_epoch"] == 1 + values.index(metric.best(values))


@pytest.mark.parametrize("metric", [Metric.VAL_WORST_GROUP, Metric.VAL_DEGRADED])
def test_a_resumed_trial_has_the_figures_of_an_uninterrupted_one(tmp_path: Path, metric: Metric) -> None:
    whole = run(replace(rich_fit(augment=["flip"]), metric=metric))
    left = iter(range(2))

    def killed_in_the_third_epoch(row: dict[str, float]) -> None:  # noqa: ARG001
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(replace(rich_fit(augment=["flip"]), metric=metric, folder=tmp_path), killed_in_the_third_epoch)
    resumed = run(replace(rich_fit(augment=["flip"]), metric=metric, folder=tmp_path))
    assert without_times(resumed[-1:]) == without_times(whole[-1:])
    assert [row[metric] for row in resumed] == [row[metric] for row in whole]
    assert [row[f"best_{metric}"] for row in resumed] == [row[f"best_{metric}"] for row in whole]


def test_a_loss_that_is_not_finite_comes_without_other_figures() -> None:
    work = rich_fit()
    with torch.no_grad():
        next(work.network.parameters()).fill_(float("nan"))
    assert set(validation_figures(work)) == {"val_loss", "val_accuracy"}


def one_of_two(rank: int, port: int, results: "multiprocessing.Queue[dict[str, float]]") -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    results.put(validation_figures(rich_fit()))
    dist.destroy_process_group()


def test_two_workers_have_the_same_figures_to_the_last_digit() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=one_of_two, args=(rank, port, results)) for rank in range(2)]
    for worker in workers:
        worker.start()
    first, second = (results.get(timeout=120) for _ in workers)
    for worker in workers:
        worker.join(30)
    assert first == second
    assert set(first) == {str(metric) for metric in Metric}
    alone = validation_figures(rich_fit())
    assert first == pytest.approx(alone, rel=1e-5)

"""A metric knows its direction and how people read it."""

import json
import pickle

import pytest

from cifake_ray.experiment import Experiment, Metric

ACCURACY, LOSS, AUC = Metric.VAL_ACCURACY, Metric.VAL_LOSS, Metric.VAL_AUC


@pytest.mark.parametrize(("metric", "worse", "better"), [(ACCURACY, 0.8, 0.9), (LOSS, 0.4, 0.3), (AUC, 0.98, 0.99)])
def test_better_follows_the_direction_of_the_metric(metric: Metric, worse: float, better: float) -> None:
    assert metric.better(better, worse)
    assert not metric.better(worse, better)
    assert not metric.better(better, better)
    assert metric.best([worse, better, worse]) == better
    assert metric.score(better) > metric.score(worse)
    assert [metric.reached(better, worse), metric.reached(worse, worse), metric.reached(worse, better)] == [1, 1, 0]


def test_people_read_an_accuracy_in_percent_and_a_loss_as_it_is() -> None:
    assert [ACCURACY.shown(0.93412), LOSS.shown(0.18344), LOSS.shown(None)] == ["93.41 %", "0.1834", ""]
    assert [AUC.shown(0.98765), Metric.VAL_WORST_GROUP.shown(0.5)] == ["0.9877", "50.00 %"]
    assert [(metric.axis, metric.scale, metric.mode) for metric in Metric] == [
        ("validation accuracy (%)", 100.0, "max"),
        ("validation loss (nats)", 1.0, "min"),
        ("balanced validation accuracy (%)", 100.0, "max"),
        ("validation AUC", 1.0, "max"),
        ("validation accuracy, worst generator (%)", 100.0, "max"),
        ("validation accuracy, degraded (%)", 100.0, "max"),
    ]


def test_only_the_figures_that_need_more_than_the_logits_say_so() -> None:
    assert [metric for metric in Metric if metric.by_generator] == ["val_worst_group"]
    assert [metric for metric in Metric if metric.on_degraded] == ["val_degraded"]


@pytest.mark.parametrize(
    ("metric", "target", "why"),
    [(ACCURACY, 1.0, ""), (ACCURACY, 93.0, "an accuracy lies between 0 and 1"),
     (LOSS, 2.0, ""), (LOSS, 100.0, "a loss lies between 0 and 100"), (LOSS, 0.0, "a loss lies between 0 and 100"),
     (ACCURACY, 0.0, "an accuracy lies between 0 and 1"), (AUC, 1.1, "an AUC lies between 0 and 1")],
)  # fmt: skip
def test_a_target_that_no_study_can_reach_is_told_from_one_that_it_can(metric: Metric, target: float, why: str) -> None:
    assert metric.impossible(target) == why


def test_an_experiment_takes_a_metric_by_its_name_and_saves_it_as_such() -> None:
    tree = {"name": "a", "model": {"kind": "cnn"}, "search": {"metric": "val_loss"}}
    experiment = Experiment.model_validate(tree)
    assert experiment.search.metric is LOSS
    assert json.loads(json.dumps({"metric": experiment.search.metric})) == {"metric": "val_loss"}
    assert experiment.model_dump(mode="json")["search"]["metric"] == "val_loss"
    assert pickle.loads(pickle.dumps(experiment)) == experiment

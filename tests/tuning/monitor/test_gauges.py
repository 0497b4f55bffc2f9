"""What Prometheus is told of a study, read back from the metrics port of a Ray node."""

import time
import urllib.request
from collections.abc import Callable

import pytest
import ray
from prometheus_client.parser import text_string_to_metric_families

from cifake_ray.tuning.monitor.callback import RunningTrial
from cifake_ray.tuning.monitor.gauges import StudyGauges, extraction_rate

from ..conftest import OpenRecord, epoch_result

pytestmark = pytest.mark.usefixtures("ray_session")
_SECONDS = 30  # two reports a second apart, on a busy machine
Series = dict[tuple[str, ...], float]


def series(name: str) -> Series:
    """Every series of a gauge on this node's port: the tags beside `study`, and the value."""
    url = f"http://{ray.nodes()[0]['NodeManagerAddress']}:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    text = urllib.request.urlopen(url, timeout=10).read().decode()
    return {
        tuple(sample.labels[tag] for tag in ("status", "trial_id") if tag in sample.labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == f"ray_cifake_ray_{name}" and sample.labels["study"] == "cnn"
    }


def wait_until(gauges: StudyGauges, holds: Callable[[], bool]) -> bool:
    """As the driver does, update until it holds, or give up."""
    deadline = time.monotonic() + _SECONDS
    while not (found := holds()) and time.monotonic() < deadline:
        gauges.step_ended()
        time.sleep(0.2)
    return found


@pytest.mark.cluster
def test_a_running_trials_accuracy_is_shown_and_that_of_an_ended_one_disappears(open_record: OpenRecord) -> None:
    record = open_record()
    for number, accuracy in ((0, 0.8), (1, 0.9)):
        record.study.ask()
        record.start(number, {"lr": 1e-3, "batch_size": 32, "head_width": 64})
        record.add_epoch(number, epoch_result(1, accuracy))
    gauges = StudyGauges(record, images=100)
    first, second = (RunningTrial(str(number), number, {}, number) for number in (0, 1))
    for trial, accuracy in ((first, 0.8), (second, 0.9)):
        gauges.trial_started(trial)
        gauges.epoch_reported(trial, 1, epoch_result(1, accuracy))
    assert wait_until(gauges, lambda: series("val_accuracy") == {("0",): 0.8, ("1",): 0.9})
    assert series("best_val_accuracy") == {(): 0.9}
    assert series("trials")["running",] == 2
    assert series("images_per_second") == {(): pytest.approx(2 * 100 / 1.25)}

    record.finish(0, "stopped")
    gauges.trial_ended(first, "stopped", "")
    assert wait_until(gauges, lambda: series("val_accuracy") == {("1",): 0.9})
    assert wait_until(gauges, lambda: series("trials").get(("stopped",)) == 1)
    assert series("trials") == {
        ("running",): 1,
        ("stopped",): 1,
        ("completed",): 0,
        ("failed",): 0,
        ("interrupted",): 0,
    }


def test_extraction_shows_images_a_second_without_those_from_the_cache() -> None:
    update = extraction_rate("cnn")
    update(1000, 2000)
    time.sleep(0.5)
    update(1100, 2000)
    deadline = time.monotonic() + _SECONDS
    while not 0 < series("images_per_second").get((), 0) <= 200 and time.monotonic() < deadline:
        update(1100, 2000)
        time.sleep(0.2)
    assert 0 < series("images_per_second")[()] <= 200


def test_a_figure_that_cannot_be_shown_ends_no_study(open_record: OpenRecord) -> None:
    gauges = StudyGauges(open_record(), images=100)
    gauges.epoch_reported(RunningTrial("0", 0, {}, 0), 1, epoch_result(1) | {"val_accuracy": "not a number"})
    gauges.step_ended()

"""The phases of a study and its first line."""

import pytest

from cifake_ray.tuning.monitor.phases import opening_line, phase_name, say_phase
from cifake_ray.tuning.single_trial import single_trial

from ..conftest import OpenRecord, experiment_of, record_with

RESNET = {
    "name": "r",
    "model": {"kind": "resnet50"},
    "search_space": {"lr": {"type": "float", "low": 1e-4, "high": 0.1}},
}


def test_phases_are_numbered_and_a_study_without_backbone_extracts_no_features() -> None:
    from cifake_ray.experiment import Experiment

    assert phase_name(experiment_of(), "search") == "2/3 search"
    assert phase_name(Experiment.model_validate(RESNET), "features") == "2/4 features"
    assert phase_name(Experiment.model_validate(RESNET), "retraining") == "4/4 retraining"


def test_one_configuration_is_trained_and_not_searched() -> None:
    alone = single_trial(experiment_of(), workers=0)
    assert [phase_name(alone, phase) for phase in ("images", "search")] == ["1/2 images", "2/2 training"]


def test_the_first_line_names_model_trials_images_and_that_the_sample_is_no_cifake() -> None:
    sample = opening_line(experiment_of(data={"source": "sample"}), "mine")
    assert sample == (
        "mine · cnn · 6 trials · images: synthetic sample; results say nothing about CIFAKE (yours: --data or "
        "CIFAKE_RAY_DATA)"
    )
    one = opening_line(experiment_of(data={"source": "/data/cifake"}, search={"trials": 1}), "mine")
    assert one == "mine · cnn · 1 trial · images: /data/cifake"


def test_a_resumed_study_says_first_how_many_trials_are_done(open_record: OpenRecord) -> None:
    record = record_with(open_record, 0.8)
    record.finish(0, "stopped")
    record_with(open_record, 0.8, into=record, number=1)
    record.flush(force=True)
    line = opening_line(record.experiment, "cnn", resumed=record.run)
    assert line.startswith("resuming cnn · cnn · 6 trials")
    assert line.endswith("1 of 6 done")


def test_a_phase_is_one_line_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    say_phase(experiment_of(), "images")
    assert capsys.readouterr().err == "1/3 images\n"

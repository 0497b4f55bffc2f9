"""The Ray that a study joins."""

from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning import request


def test_a_cluster_that_is_gone_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(request, "gather_inputs", lambda _: pytest.fail("120,000 images would be decoded first"))
    experiment = Experiment.model_validate({"name": "small", "model": {"kind": "cnn"}})
    wanted = request.StudyRequest(experiment, tmp_path, "small", address="127.0.0.1:1")
    with pytest.raises(InputError, match=r"--address 127.0.0.1:1: no Ray cluster answers there"):
        request.run_study(wanted)

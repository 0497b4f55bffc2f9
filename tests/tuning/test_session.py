"""The Ray that a study joins."""

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.tuning import session


def test_a_cluster_that_is_gone_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(session.ray, "init", lambda **_: pytest.fail("Ray would wait two minutes"))
    experiment = Experiment.model_validate({"name": "small", "model": {"kind": "cnn"}})
    with (
        pytest.raises(InputError, match=r"--address 127.0.0.1:1: no Ray cluster answers there"),
        session.ray_session("127.0.0.1:1", experiment),
    ):
        pass

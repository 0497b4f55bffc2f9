"""A resumed study whose retrainings are kept still names its last phase."""

from types import SimpleNamespace

import pytest

from cifake_ray.experiment import Experiment
from cifake_ray.tuning import study
from cifake_ray.tuning.retraining import Retraining


@pytest.mark.parametrize(("kept", "words"), [(True, "kept: winner and baseline are those of before"), (False, "fresh")])
def test_the_last_phase_is_named_whether_retrainings_are_kept_or_not(
    kept: bool, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment = Experiment.model_validate({"name": "x", "model": {"kind": "cnn"}})
    plan = [Retraining("tuned", 1, {}, 2)]
    monkeypatch.setattr(study, "planned_retrainings", lambda _: plan)
    monkeypatch.setattr(study, "already_retrained", lambda *_: kept)
    monkeypatch.setattr(study, "ListSearch", lambda waiting, *_: waiting)
    run = SimpleNamespace(remove=lambda _: None, test_file=SimpleNamespace(name="test.json"))
    display = SimpleNamespace(retrain=lambda _: None, update=lambda **_: None)
    resumed = SimpleNamespace(
        guard=SimpleNamespace(), record=SimpleNamespace(run=run, experiment=experiment), display=display, places=None,
        _on_end=None,
    )  # fmt: skip
    assert bool(study.Study._retrainings(resumed)) is not kept  # type: ignore[arg-type]
    said = capsys.readouterr().err
    assert "3/3 retraining" in said
    assert words in said

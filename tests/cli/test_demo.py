"""The demo takes the models that can be built here, and says of the others what installs them."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.cli import study
from cifake_ray.experiment.families import timm as timm_settings


class Planned(Exception):
    """Raised in place of the report, with the names of the studies."""


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(runs: list[Any], _out: Path) -> None:
        raise Planned(*runs)

    monkeypatch.setattr("cifake_ray.tuning.ray_cluster.session.ray_session", lambda *_: nullcontext())
    monkeypatch.setattr(study, "_run_headed", lambda request, *_: request.experiment.name)
    monkeypatch.setattr(study, "_finish", finish)


@pytest.mark.usefixtures("planned")
@pytest.mark.parametrize(("installed", "command"), [(True, ""), (False, "run `pip install 'cifake-ray[demo]'`")])
def test_a_model_whose_extra_is_missing_is_left_out_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], installed: bool, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(timm_settings.importlib.util, "find_spec", lambda name: name if installed else None)
    monkeypatch.setattr(timm_settings, "_is_installed", lambda _: installed)
    with pytest.raises(Planned) as run:
        study.demo(storage="runs", trials=None, out=tmp_path / "out")
    names = {"demo-cnn", "demo-resnet50"} | ({"demo-efficientnet"} if installed else set())
    assert {*run.value.args} == names
    printed = capsys.readouterr().out
    assert ("left out: demo-efficientnet" in printed) is not installed
    assert command in printed

"""A run's own Python file may be executed if it equals a file of the user's, or by --trust; never otherwise."""

import hashlib
import os
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import load_experiment
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run
from cifake_ray.runs.trust import run_model, trusted_experiment
from cifake_ray.storage.cache import cache_root
from tests.own_net import NET, write_experiment


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of the user's own."""
    return create_run(tmp_path / "runs", "mine", load_experiment(write_experiment(tmp_path / "user")))


@pytest.fixture
def strange(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """The same run on a machine whose user has no such file."""
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path / "other"))
    return run


def allowed(run: Run) -> bool:
    try:
        file = run_model(run, run.experiment().model).own_file
    except InputError:
        return False
    return file is not None and file.trusted


def test_a_run_keeps_a_copy_of_the_file_and_its_hash(run: Run) -> None:
    assert (run.path / "my_net.py").read_text() == NET
    assert run.experiment().model.own_file_sha256 == hashlib.sha256(NET.encode()).hexdigest()
    assert run.experiment().model.own_file is None  # before anybody asks whether it is trusted


def test_the_users_own_run_is_trusted_while_the_file_is_the_same(run: Run, tmp_path: Path) -> None:
    assert allowed(run)
    (tmp_path / "user" / "my_net.py").write_text(NET + "# a later thought\n")
    assert not allowed(run)
    (tmp_path / "user" / "my_net.py").unlink()
    assert not allowed(run)
    assert allowed(run.trusting())


def test_the_refusal_shows_path_and_hash_and_the_way_out(strange: Run) -> None:
    digest = hashlib.sha256(NET.encode()).hexdigest()
    with pytest.raises(InputError, match=rf"{strange.path}/my_net.py: .*{digest}.*--trust") as refusal:
        run_model(strange, strange.experiment().model)
    assert "\n" not in str(refusal.value)
    assert allowed(strange.trusting())
    assert not allowed(strange)  # --trust is of one command


def test_a_copy_that_was_changed_in_the_run_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    (run.path / "my_net.py").write_text(NET + "import os\n")
    with pytest.raises(InputError, match="and the run was made with"):
        run_model(run, run.experiment().model)
    assert allowed(run.trusting())
    assert "because --trust was given" in capsys.readouterr().err


def test_a_path_in_a_runs_record_leads_nowhere_but_beside_it(run: Run, tmp_path: Path) -> None:
    outside = tmp_path / "user" / "my_net.py"
    text = run.experiment_file.read_text().replace("target: my_net.py:Net", f"target: {outside}:Net")
    run.experiment_file.write_text(text)
    (run.path / "my_net.py").unlink()
    with pytest.raises(InputError, match=rf"{run.path}/my_net.py: cannot be read"):
        run_model(run.trusting(), run.experiment().model)


def test_an_experiment_of_a_run_is_under_the_same_rule(strange: Run) -> None:
    (strange.path / "environment.json").touch()
    loaded = load_experiment(strange.experiment_file)
    with pytest.raises(InputError, match="--trust"):
        trusted_experiment(loaded, trust=False)
    trusted = trusted_experiment(loaded, trust=True)
    assert trusted.model.own_file.trusted
    again = create_run(strange.path.parent, "again", trusted)
    assert not allowed(again)  # vouched for once, and still no file of the user's


def test_a_list_that_others_could_have_written_counts_for_nothing(run: Run) -> None:
    note = cache_root() / f"python-files-{os.getuid()}.txt"
    assert note.stat().st_mode & 0o777 == 0o600
    note.chmod(0o666)
    assert not allowed(run)


def test_models_of_this_package_have_no_file(tmp_path: Path) -> None:
    file = tmp_path / "cnn.yaml"
    file.write_text("name: x\nmodel: {kind: cnn}\ndata: {source: sample}\n")
    loaded = load_experiment(file)
    assert trusted_experiment(loaded, trust=False) is loaded
    made = create_run(tmp_path / "runs", "x", loaded)
    assert run_model(made, loaded.model) is loaded.model
    assert [path.name for path in made.path.iterdir()] == ["experiment.yaml"]

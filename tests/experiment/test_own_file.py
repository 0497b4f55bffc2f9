"""A user's own Python file in an experiment: found, looked through, pinned, and never run while settings are read."""

import hashlib
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import load_experiment, parse_yaml, save_experiment, validate_experiment
from cifake_ray.experiment.own_file import read_own_file
from tests.own_net import EXPERIMENT, NET, write_experiment


def test_the_file_comes_with_the_experiment_through_trials_and_other_processes(tmp_path: Path) -> None:
    loaded = load_experiment(write_experiment(tmp_path))
    trial = pickle.loads(pickle.dumps(loaded)).with_params({"args.width": 7, "lr": 0.01}, seed=3)
    assert trial.model.own_file == loaded.model.own_file
    assert trial.model.own_file.content == NET.encode()
    assert trial.model.args == {"width": 7}
    assert loaded.baseline_params() == {"lr": 0.01, "args.width": 4}


def test_yaml_holds_name_and_hash_of_the_file_and_nothing_of_its_text(tmp_path: Path) -> None:
    file = write_experiment(tmp_path / "deep", experiment=EXPERIMENT.replace("my_net", "../deep/my_net"))
    text = save_experiment(load_experiment(file))
    tree = parse_yaml(text, "saved")
    assert tree["model"]["target"] == "my_net.py:Net"  # as the copy lies beside the saved experiment
    assert tree["model"]["sha256"] == hashlib.sha256(NET.encode()).hexdigest()
    assert "torch" not in text
    assert validate_experiment(tree, "saved").model.own_file is None


def test_settings_are_read_without_torch_ray_or_a_run_of_the_file(tmp_path: Path) -> None:
    file = write_experiment(tmp_path, net=NET + "\nraise SystemExit('run')\n")
    heavy = "import sys; from pathlib import Path; from cifake_ray.experiment import load_experiment as load; "
    heavy += f"load(Path({str(file)!r})); print(sorted({{'torch', 'ray'}} & {{*sys.modules}}))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True).strip() == "[]"


def test_a_file_in_the_current_folder_is_found_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_experiment(tmp_path / "there")
    (tmp_path / "there" / "my_net.py").rename(tmp_path / "my_net.py")
    with pytest.raises(InputError, match=r"model.target: no file .*there/my_net.py"):
        load_experiment(file)
    monkeypatch.chdir(tmp_path)
    assert load_experiment(file).model.own_file is not None


def test_an_experiment_that_names_a_hash_refuses_another_file(tmp_path: Path) -> None:
    file = write_experiment(tmp_path)
    file.write_text(save_experiment(load_experiment(file)))
    load_experiment(file)
    (tmp_path / "my_net.py").write_text(NET + "# changed\n")
    with pytest.raises(InputError, match=r"model.sha256: .*my_net.py has SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}"):
        load_experiment(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = (\n", r"my_net.py:2: SyntaxError: "),
        ("def f():\n    from . import other\n", r"my_net.py:2: imports a second file from beside it"),
        ("import os\nimport torch, helper.deep\n", r"my_net.py:2: imports helper from beside it"),
        ("from package import x\n", r"my_net.py:1: imports package from beside it.*put both into one file"),
        ("\udcff", r"my_net.py: not UTF-8 text"),
        ("x = '\0'\n", r"my_net.py:1: \w+: .*null"),
    ],
)
def test_what_cannot_travel_or_is_no_python_is_refused_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "helper.py").touch()
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").touch()
    (tmp_path / "my_net.py").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=said) as refusal:
        read_own_file(tmp_path / "my_net.py")
    assert "\n" not in str(refusal.value)


def test_modules_of_python_and_of_this_program_may_have_namesakes_beside_it(tmp_path: Path) -> None:
    for name in ("math.py", "cifake_ray.py"):
        (tmp_path / name).touch()
    (tmp_path / "my_net.py").write_text("import math\nimport cifake_ray.models.head\n")
    assert read_own_file(tmp_path / "my_net.py").trusted


@pytest.mark.parametrize("beside", ["environment.json", "study.journal", "best"])
def test_a_file_in_the_folder_of_a_run_is_not_trusted(tmp_path: Path, beside: str) -> None:
    (tmp_path / "my_net.py").write_text(NET)
    assert not read_own_file(tmp_path / "my_net.py", of_run=True).trusted
    (tmp_path / beside).touch()
    found = read_own_file(tmp_path / "my_net.py")
    assert found.of_run
    assert not found.trusted


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("model.target=my_net.py", "names no class in a file; expected FILE.py:CLASS"),
        ("model.target=my_net.py:2", "names no class in a file"),
        ("model.target='my net.py:Net'", "names no class in a file"),
        ("model.args.1=3", "model.args"),
        ("search_space.args.depth={type: int, low: 1, high: 3}", "not a key that can be searched; did you mean args.w"),
        ("search_space.args.width={type: float, low: 1, high: 8}", "args.width is a whole number; use type int"),
        ("search_space.args.width.low=5", "args.width: the starting value 4 lies outside 5 to 8"),
        ("search_space.target={type: categorical, choices: ['my_net.py:Net']}", "not a key that can be searched"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(tmp_path: Path, setting: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as refusal:
        load_experiment(write_experiment(tmp_path), [setting])
    assert "\n" not in str(refusal.value)


def test_settings_reach_args_and_their_dimensions(tmp_path: Path) -> None:
    file = write_experiment(tmp_path)
    settings = ["model.args.act=relu", "search_space.args.act={type: categorical, choices: [relu, gelu]}"]
    loaded = load_experiment(file, [*settings, "search_space.args.width.high=6", "model.args.seed=2"])
    assert loaded.search_space["args.width"].bounds == (2, 6)
    assert list(loaded.search_space) == ["lr", "args.width", "args.act"]
    assert loaded.baseline_params()["args.act"] == "relu"
    more = load_experiment(file, ["model.args.seed=2", "search_space.args.seed={type: int, low: 1, high: 3}"])
    assert more.with_params({"args.seed": 3}).model.args["seed"] == 3  # a name of a key of `training`

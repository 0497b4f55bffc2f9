"""The command line: what is refused, in one line and before anything is started or written; what is printed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
import torch
import typer
from PIL import Image
from safetensors.torch import save_file

from cifake_ray import __version__, cli
from cifake_ray.errors import Interrupted, WorkError
from cifake_ray.experiment import Experiment, parse_yaml, validate_experiment
from cifake_ray.runs.files import write_json
from cifake_ray.runs.names import create_run
from cifake_ray.runs.run import Run

EXPERIMENT = """
name: small
model: {kind: cnn, head_width: 8, channels: 4}
training: {epochs: 2, lr: 1e-3, batch_size: 32}
search_space:
  lr: {type: float, low: 1e-4, high: 1e-2, log: true}
search: {trials: 4}
data: {source: sample, limit: 100}
"""


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Run the command line in this process, in an empty folder, where Ray cannot be started."""

    def started(*_: object, **__: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(ray, "init", started)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["cifake-ray", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        shown = capsys.readouterr()
        return Ended(int(end.value.code or 0), shown.out, shown.err)

    return run


@pytest.fixture
def yaml_file(tmp_path: Path) -> Path:
    file = tmp_path / "small.yaml"
    file.write_text(EXPERIMENT)
    return file


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    """Where the runs would lie."""
    return tmp_path / "runs"


PUBLISHED = Path(__file__).parents[2] / "results" / "studies" / "cnn"
SHOWN = re.compile(r"decoding images: |\d/\d images|\S+ · |resuming |images: |starting: ")  # before a refusal


def refused(ended: Ended, *words: str) -> None:
    """One line on stderr with these words (behind what was shown so far), nothing on stdout, exit code 2."""
    assert ended.code == 2, ended
    assert ended.out == ""
    lines = [line for line in ended.err.splitlines(keepends=True) if not SHOWN.match(line)]
    assert len(lines) == 1, ended.err
    assert lines[0].startswith("cifake-ray: ")
    assert lines[0].endswith("\n")
    for word in words:
        assert word in lines[0]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def existing(storage: Path) -> Path:
    """A run that has run no trial yet."""
    experiment = validate_experiment(parse_yaml(EXPERIMENT, "here"), "here")
    return create_run(storage, "small", experiment).path


# --- what is wrong with the experiment ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["tune", "train"])
@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.lrate=1e-3", "training.lrate: unknown key; did you mean lr?"),
        ("modle.kind=cnn", "modle: unknown key; did you mean model?"),
        ("training.epochs=many", "training.epochs"),
        ("search_space.lr.low=1", "low 1 is above high 0.01"),
        ("training.lr=0.5", "starting value 0.5 lies outside"),
        ("model.kind=vgg", "'vgg'; expected 'cnn', 'cnn-deep', 'resnet18'"),
        ("training.epochs", "expected key=value"),
        (
            "model={kind: resnet50, weights: imagenet-v9}",
            "weights imagenet-v9: unknown for resnet50; expected imagenet-v1",
        ),
        ("model={kind: resnet50, weights: none.pth}", "none.pth: no such file"),
        ("resources.cpus_per_trial=4096", "requests 4096 CPUs"),
        ("resources.gpus_per_trial=64", "requests 64 GPUs"),
        ("data.source=/no/such/folder", "/no/such/folder: no such data folder"),
        ("data.val_fraction=0.001", "data.val_fraction"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_started_or_written(
    call: Call, yaml_file: Path, storage: Path, verb: str, setting: str, words: str
) -> None:
    refused(call(verb, yaml_file, "--storage", storage, "--set", setting), words)
    assert not storage.exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("epochs: 2", "epoch: 2", "training.epoch: unknown key; did you mean epochs?"),
        ("model: {kind: cnn, head_width: 8, channels: 4}", "", "model: this key is missing"),
        ("lr: 1e-3", "lr: [", "not valid YAML"),
    ],
)
def test_an_error_in_the_file_names_the_file(
    call: Call, yaml_file: Path, storage: Path, old: str, new: str, words: str
) -> None:
    yaml_file.write_text(EXPERIMENT.replace(old, new))
    refused(call("tune", yaml_file, "--storage", storage), "small.yaml", words)
    assert not storage.exists()


def test_tuning_without_a_search_space_is_sent_to_train(call: Call, yaml_file: Path, storage: Path) -> None:
    yaml_file.write_text(EXPERIMENT.replace("  lr: {type: float, low: 1e-4, high: 1e-2, log: true}\n", "  {}\n"))
    refused(call("tune", yaml_file, "--storage", storage), "search_space is empty", "cifake-ray train")
    assert not storage.exists()


def test_more_trials_at_once_than_fit_are_refused(call: Call, yaml_file: Path, storage: Path) -> None:
    ended = call("tune", yaml_file, "--storage", storage, "--set", "resources.max_concurrent=4096")
    refused(ended, "4096 trials at once do not fit")
    assert not storage.exists()


def test_more_workers_than_can_share_a_batch_are_refused(call: Call, yaml_file: Path, storage: Path) -> None:
    refused(call("train", yaml_file, "--storage", storage, "--workers", "99"), "99 workers cannot share a batch of 32")
    assert not storage.exists()


def test_weights_that_do_not_reach_the_stage_are_refused(call: Call, yaml_file: Path, storage: Path) -> None:
    from cifake_ray.models.weights import expected_shapes

    shapes = expected_shapes("resnet50", "stem")
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, yaml_file.parent / "stem.safetensors")
    model = "model={kind: resnet50, weights: stem.safetensors, stages: [layer1], image_size: 32}"
    refused(call("tune", yaml_file, "--storage", storage, "--set", model), "layer1", "it covers stem")
    (yaml_file.parent / "stem.safetensors").write_text("no tensors")
    refused(call("tune", yaml_file, "--storage", storage, "--set", model), "not a safetensors file")
    assert not storage.exists()


def test_no_experiment_and_an_unknown_one_are_refused(call: Call, storage: Path) -> None:
    refused(call("tune", "--storage", storage), "an EXPERIMENT is missing", "cifake-ray spaces")
    refused(call("tune", "nothing.yaml", "--storage", storage), "nothing.yaml: cannot be read", "cifake-ray spaces")
    assert not storage.exists()


# --- what is wrong with the images -------------------------------------------------------------------------------


def write_images(folder: Path, classes: Sequence[str] = ("FAKE", "REAL"), data: bytes | None = None) -> Path:
    for part in ("train", "test"):
        for number, label in enumerate(classes):
            place = folder / part / label
            place.mkdir(parents=True)
            for index in range(12):
                file = place / f"{index:04d}.png"
                pixels = np.full((32, 32, 3), 20 * index + number, np.uint8)
                file.write_bytes(data) if data is not None else Image.fromarray(pixels).save(file)
    return folder


@pytest.mark.parametrize("verb", ["tune", "train"])
def test_images_of_one_class_only_are_refused(
    call: Call, yaml_file: Path, storage: Path, tmp_path: Path, verb: str
) -> None:
    folder = write_images(tmp_path / "images", ["REAL"])
    refused(call(verb, yaml_file, "--storage", storage, "--data", folder), "no folder train/FAKE")
    for part in ("train", "test"):
        (folder / part / "FAKE").mkdir()
    refused(call(verb, yaml_file, "--storage", storage, "--data", folder), "no image labelled FAKE in train")
    assert not storage.exists()


@pytest.mark.parametrize("verb", ["tune", "train"])
def test_a_folder_that_is_not_divided_is_refused_before_the_study_is_announced(
    call: Call, yaml_file: Path, storage: Path, tmp_path: Path, verb: str
) -> None:
    folder = write_images(tmp_path / "images") / "train"
    ended = call(verb, yaml_file, "--storage", storage, "--data", folder)
    refused(ended, "not divided into train and test")
    assert len(ended.err.splitlines()) == 1


def test_a_folder_without_a_readable_image_is_refused(
    call: Call, yaml_file: Path, storage: Path, tmp_path: Path
) -> None:
    folder = write_images(tmp_path / "images", data=b"no picture")
    refused(call("tune", yaml_file, "--storage", storage, "--data", folder), "no readable image among 48")
    assert not storage.exists()


# --- what is wrong with the storage or the name ------------------------------------------------------------------


@pytest.mark.parametrize("inside", [".", "deeper/runs"])
def test_a_storage_with_a_file_in_the_way_is_refused(call: Call, yaml_file: Path, tmp_path: Path, inside: str) -> None:
    (tmp_path / "file").write_text("")
    for command in (("tune", yaml_file), ("train", yaml_file), ("demo",)):
        ended = call(*command, "--storage", tmp_path / "file" / inside)
        refused(ended, "cannot be written", "a file is in the way", "choose another --storage")


def test_a_name_that_is_taken_is_refused_and_the_run_stays_as_it_is(
    call: Call, yaml_file: Path, storage: Path, existing: Path
) -> None:
    before = snapshot(storage)
    refused(call("tune", yaml_file, "--storage", storage), "a run of this name exists", "--resume small")
    refused(call("train", yaml_file, "--storage", storage, "--name", "small"), "a run of this name exists")
    assert snapshot(storage) == before
    assert existing.is_dir()


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden"])
def test_a_name_that_is_no_folder_name_is_refused(call: Call, yaml_file: Path, storage: Path, name: str) -> None:
    refused(call("tune", yaml_file, "--storage", storage, f"--name={name}"), "--name")
    assert not storage.exists()
    assert not (storage.parent / "outside").exists()


def test_a_run_that_another_process_writes_is_refused(call: Call, storage: Path, existing: Path) -> None:
    with Run(existing).update():
        before = snapshot(storage)
        refused(call("tune", "--resume", "small", "--storage", storage), "another process is writing this run")
        assert snapshot(storage) == before


@pytest.mark.parametrize("more", [["--set", "training.epochs=3"], ["--name", "other"], ["--seed", "1"], ["small.yaml"]])
def test_resuming_takes_no_options_of_a_new_study(call: Call, storage: Path, existing: Path, more: list[str]) -> None:
    before = snapshot(existing)
    refused(call("tune", "--resume", "small", "--storage", storage, *more), "the run has its own experiment")
    assert snapshot(existing) == before


def test_resuming_with_other_images_is_refused_and_writes_nothing(call: Call, storage: Path, existing: Path) -> None:
    write_json(Run(existing).environment_file, {"data": {"fingerprint": "0123456789abcdef"}})
    with Run(existing).update():
        pass  # its lock is a file too
    before = snapshot(existing)
    ended = call("tune", "--resume", "small", "--storage", storage, "--data", "sample")
    refused(ended, "not those of", "(0123456789ab…)")
    assert snapshot(existing) == before


def test_resuming_without_the_images_is_refused_at_once(call: Call, storage: Path, existing: Path) -> None:
    experiment = existing / "experiment.yaml"
    experiment.write_text(experiment.read_text().replace("source: sample", "source: gone/images"))
    ended = call("tune", "--resume", "small", "--storage", storage)
    refused(ended, 'this study\'s images ("gone/images") are not here; give them as --data')
    assert "decoding" not in ended.err


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_resuming_a_damaged_run_is_refused_and_writes_nothing(
    call: Call, storage: Path, existing: Path, more: list[str]
) -> None:
    for name, words in (("study.journal", "line 1 is not an entry"), ("environment.json", "damaged (")):
        (existing / name).write_bytes(b"garbage\n")
        before = snapshot(existing)
        refused(call("tune", "--resume", "small", "--storage", storage, *more), f"{existing / name}: {words}")
        assert snapshot(existing) == before
        (existing / name).unlink()


def test_resuming_an_unknown_study_names_the_known_ones(call: Call, storage: Path, existing: Path) -> None:
    refused(call("tune", "--resume", "smal", "--storage", storage), "no such run", f"{existing.name}; did you mean")
    assert [path.name for path in storage.iterdir()] == ["small"]


def test_resuming_with_fewer_trials_is_refused(call: Call, storage: Path, existing: Path) -> None:
    before = snapshot(existing)
    ended = call("tune", "--resume", "small", "--storage", storage, "--trials", "3")
    refused(ended, "--trials 3", "has 4 already; the number can only grow")
    assert snapshot(existing) == before


# --- reading verbs -----------------------------------------------------------------------------------------------


def test_reading_verbs_refuse_what_is_no_run(call: Call, tmp_path: Path) -> None:
    picture = tmp_path / "picture.png"
    Image.new("RGB", (32, 32)).save(picture)
    for command in (("report", tmp_path), ("evaluate", tmp_path / "no"), ("predict", tmp_path / "no", picture)):
        refused(call(*command), "run")
    assert not (tmp_path / "results").exists()


def test_a_run_without_a_model_cannot_predict_or_evaluate(call: Call, existing: Path, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32)).save(tmp_path / "picture.png")
    refused(call("predict", existing, tmp_path / "picture.png"), "no trained model there", "tune --resume small")
    refused(call("evaluate", existing), "no trained model there", "tune --resume small")
    refused(call("train", existing), "the study has no winner yet", "tune --resume small")


def test_a_published_study_is_evaluated_on_other_images(call: Call, tmp_path: Path) -> None:
    study = Path(shutil.copytree(PUBLISHED, tmp_path / PUBLISHED.name))
    for label in ("FAKE", "REAL"):
        (tmp_path / "mine" / label).mkdir(parents=True)
        for seed in range(3):
            pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "mine" / label / f"{seed}.png")
    ended = call("evaluate", study, "--data", tmp_path / "mine")
    assert (ended.code, "3 FAKE + 3 REAL" in ended.out) == (0, True), ended.err
    assert "the study's images are not here" in ended.out  # that copies were not looked for


def test_evaluating_without_the_images_is_refused_before_torch_is_loaded() -> None:
    program = (
        "import sys\nfrom cifake_ray.cli import command_line\n"
        "try:\n    command_line()(sys.argv[1:], standalone_mode=False)\n"
        "except Exception as error:\n    print(error, 'torch' in sys.modules)\n"
    )
    command = [sys.executable, "-c", program, "evaluate", str(PUBLISHED)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"this study's images \(.*\) are not here; give them as --data False$", said)


def test_an_unknown_kind_of_cache_entry_is_refused(call: Call, tmp_path: Path) -> None:
    (tmp_path / "cache" / "images").mkdir(parents=True)
    refused(call("cache", "clear", "--kind", "nonsense"), "--kind nonsense: no such kind of entry; expected images")
    assert (tmp_path / "cache" / "images").is_dir()


@pytest.mark.parametrize(
    "arguments",
    [["tune", "--no-such-option"], ["predict"], ["train"], ["tuen"], ["tune", "a.yaml", "--trials", "0"],
     ["tune", "a.yaml", "--seed", "x"], ["report"], ["cache"]],
)  # fmt: skip
def test_what_the_command_line_does_not_know_ends_with_code_2(call: Call, arguments: list[str]) -> None:
    assert call(*arguments).code == 2


# --- what is refused before a cluster is asked --------------------------------------------------------------------


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    """None in the environment, and a token is not looked for."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    for name in ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize("command", [["submit", "small.yaml", "--storage", "/runs"],
                                     ["submit", "--resume", "small", "--storage", "/runs"],
                                     ["status"], ["status", "a-1"], ["logs", "a-1"], ["stop", "a-1"]])  # fmt: skip
def test_commands_for_a_cluster_need_its_address(call: Call, yaml_file: Path, command: list[str]) -> None:
    assert yaml_file.name == "small.yaml"
    refused(call(*command), "no cluster was named; give its dashboard as --address")
    refused(call(*command, "--address", "http://127.0.0.1:9"), "http://127.0.0.1:9: no Ray cluster answers there")


@pytest.mark.usefixtures("no_cluster")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "--storage results/runs: a relative path"),
        (["--storage", "/runs", "--data", "cifake"], "--data cifake: a relative path"),
        (["--storage", "/runs", "--set", "training.lrate=1"], "did you mean lr?"),
        (["--storage", "/runs", "--set", "search_space={}"], "nothing to tune"),
        (["--storage", "/runs", "--set", "resources.workers_per_trial=17"], "17 workers cannot share a batch of 32"),
        (["--storage", "/runs", "--resume", "small"], "the run has its own experiment"),
    ],
)
def test_a_submission_is_checked_as_a_study_of_this_machine(
    call: Call, yaml_file: Path, options: list[str], words: str
) -> None:
    refused(call("submit", yaml_file, *options, "--address", "http://127.0.0.1:9"), words)


# --- what is printed ---------------------------------------------------------------------------------------------


def commands(group: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found += commands(command, (*path, name)) if hasattr(command, "commands") else [(*path, name)]
    return found


ALL = commands(typer.main.get_command(cli.command_line()))


@pytest.mark.parametrize("command", ALL, ids=" ".join)
def test_help_of_every_command_ends_with_an_example_of_it(call: Call, command: tuple[str, ...]) -> None:
    ended = call(*command, "--help")
    assert ended.code == 0
    assert f"Example: cifake-ray {' '.join(command)}" in ended.out


def test_help_names_every_command(call: Call) -> None:
    out = call("--help").out
    assert {"demo", "tune", "train", "report", "evaluate", "predict", "spaces", "runs"} <= {path[0] for path in ALL}
    assert all(f"\n  {path[0]}" in out for path in ALL)
    assert "ls" in call("cache", "--help").out


def test_help_loads_neither_ray_nor_torch() -> None:
    program = (
        "import sys\nfrom cifake_ray.cli import command_line\n"
        "command_line()(['tune', '--help'], standalone_mode=False)\n"
        "sys.exit(bool({'ray', 'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, check=False).returncode == 0


def test_studies_and_predictions_begin_without_heavy_libraries() -> None:
    heavy = "{'ray', 'torch', 'scipy', 'sklearn', 'optuna', 'botocore', 'matplotlib'}"
    program = (
        "import sys\nimport cifake_ray.tuning.request, cifake_ray.detector.predict\n"
        "from cifake_ray.experiment import Experiment\n"
        "from cifake_ray.tuning.study_inputs import gather_inputs\n"
        "gather_inputs(Experiment.model_validate({'name': 'x', 'model': {'kind': 'cnn'}, 'data': {'limit': 100}}))\n"
        f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    ended = subprocess.run([sys.executable, "-c", program], stderr=subprocess.PIPE, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_version_is_printed(call: Call) -> None:
    assert call("--version") == Ended(0, f"cifake-ray {__version__}\n", "")


def test_uv_run_does_not_make_ray_build_an_environment_in_every_worker(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ENABLE_UV_RUN_RUNTIME_ENV", raising=False)
    call("--version")
    assert os.environ["RAY_ENABLE_UV_RUN_RUNTIME_ENV"] == "0"


def test_help_waits_for_no_pydantic() -> None:
    program = (
        "import sys\nfrom cifake_ray.cli import main\nsys.argv = ['cifake-ray', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    sys.exit('pydantic' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, check=False).returncode == 0


def test_spaces_lists_what_ships(call: Call) -> None:
    rows = json.loads(call("spaces", "--json").out)
    assert {"cnn", "resnet50"} <= {row["name"] for row in rows}
    assert all(row["trials"] >= 1 and {"lr", "batch_size"} <= set(row["searched"]) for row in rows)
    assert all("head_width" in row["searched"] for row in rows if row["name"] != "python")  # whose head is its own
    assert all(Path(row["file"]).exists() for row in rows)
    assert "resnet50" in call("spaces").out


def test_runs_lists_what_is_there(call: Call, storage: Path) -> None:
    assert json.loads(call("runs", "--storage", storage, "--json").out) == []
    assert call("runs", "--storage", storage).out == f"no runs in {storage}\n"
    experiment = validate_experiment(parse_yaml(EXPERIMENT, "here"), "here")
    create_run(storage, "small", experiment)
    (row,) = json.loads(call("runs", "--storage", storage, "--json").out)
    assert (row["name"], row["model"], row["trials"], row["state"]) == ("small", "cnn", 0, "empty")


def test_cache_ls_and_clear(call: Call, tmp_path: Path) -> None:
    from cifake_ray.storage.cache import write_entry

    assert json.loads(call("cache", "ls", "--json").out) == []
    for kind in ("images", "features"):
        write_entry(tmp_path / "cache" / kind / "key", {"values": np.zeros(500_000, np.uint8)}, {})
    rows = json.loads(call("cache", "ls", "--json").out)
    assert [(row["kind"], row["MB"]) for row in rows] == [("features", 0.5), ("images", 0.5)]
    assert "1.0 MB" in call("cache", "ls").out
    assert "freed 0.5 MB" in call("cache", "clear", "--kind", "images").out
    assert [row["kind"] for row in json.loads(call("cache", "ls", "--json").out)] == ["features"]


# --- dry run and precedence --------------------------------------------------------------------------------------


def planned(ended: Ended) -> Experiment:
    """The experiment that a dry run prints."""
    assert ended.code == 0, ended
    return validate_experiment(parse_yaml(ended.out, "printed"), "printed")


def test_a_dry_run_prints_the_experiment_it_would_run_and_runs_nothing(
    call: Call, yaml_file: Path, storage: Path
) -> None:
    ended = call("tune", yaml_file, "--storage", storage, "--dry-run", "--set", "resources.max_concurrent=1")
    experiment = planned(ended)
    expected = validate_experiment(parse_yaml(EXPERIMENT, "here"), "here").model_dump()
    expected["resources"]["max_concurrent"] = 1
    assert experiment.model_dump() == expected
    comment = [line for line in ended.out.splitlines() if line.startswith("#")]
    assert comment == [f"# valid; would run 4 trials, 1 at once, in {storage / 'small'}"]
    assert not storage.exists()


def test_a_dry_run_refuses_what_the_run_would(call: Call, yaml_file: Path, storage: Path, existing: Path) -> None:
    for more in (["--data", "/no/such"], ["--set", "resources.cpus_per_trial=999"], []):
        refused(call("tune", yaml_file, "--storage", storage, "--dry-run", *more))
    assert existing.is_dir()


def test_option_beats_set_beats_environment_beats_yaml(
    call: Call, yaml_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cifake_ray.tuning.dry_run.bias_of_source", lambda *_: None)  # 2 s a folder
    folders = {name: str(write_images(tmp_path / name)) for name in ("yaml", "environment", "set", "option")}
    yaml_file.write_text(EXPERIMENT.replace("source: sample", f"source: {folders['yaml']}"))

    def source(*options: str) -> str:
        return planned(call("tune", yaml_file, "--dry-run", *options)).data.source

    chosen = ["--set", f"data.source={folders['set']}"]
    assert source() == folders["yaml"]
    assert source(*chosen) == folders["set"]
    monkeypatch.setenv("CIFAKE_RAY_DATA", folders["environment"])
    assert source() == folders["environment"]
    assert source(*chosen) == folders["set"]
    assert source(*chosen, "--data", folders["option"]) == folders["option"]


def test_options_set_what_they_name(call: Call, yaml_file: Path) -> None:
    options = ["--trials", "7", "--seed", "5", "--set", "search.trials=9", "--set", "training.epochs=6"]
    experiment = planned(call("tune", yaml_file, "--dry-run", *options))
    assert experiment.search.trials == 7
    assert experiment.training.seed == 5
    assert experiment.training.epochs == 6
    assert experiment.data.split_seed == 0


def test_a_shipped_experiment_is_found_by_its_name(call: Call) -> None:
    assert planned(call("tune", "cnn", "--data", "sample", "--dry-run")).name == "cnn"


def test_every_name_that_spaces_lists_is_an_experiment_of_the_other_commands(call: Call) -> None:
    listed = json.loads(call("spaces", "--json").out)
    assert len({row["name"] for row in listed}) == len(listed) >= 8
    settings = ["--set", "model.image_size=32", "--set", "model.weights=random"]
    for row in listed:
        assert (
            planned(
                call(
                    "tune",
                    row["name"],
                    "--data",
                    "sample",
                    "--dry-run",
                    *(settings if "resnet" in row["model"] else []),
                )
            ).name
            == row["name"]
        )
        printed = call("spaces", row["name"]).out
        assert f"name: {row['name']}\n" in printed
        assert printed.startswith("# cifake-ray ")  # the schema's path is true beside the shipped file alone
        assert "yaml-language-server" not in row["about"]


def test_a_slip_in_a_name_is_told_from_a_missing_file(call: Call) -> None:
    refused(call("tune", "cmn", "--data", "sample"), "cmn: no file, and no experiment", "did you mean cnn?")
    refused(call("tune", "none.yaml", "--data", "sample"), "none.yaml: cannot be read (No such file")


def test_what_cannot_be_an_experiments_file_is_refused_in_one_line(call: Call, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    for command in (("tune", "--data", "sample"), ("train", "--data", "sample"), ("spaces",)):
        refused(call(*command, "a" * 300), "(File name too long)")
        refused(call(*command, tmp_path / "pipe.yaml"), "cannot be read (no regular file)")
        refused(call(*command, tmp_path), "cannot be read (no regular file)")
        refused(call(*command, "none.yaml"), "none.yaml: cannot be read (No such file")


def test_no_study_begins_on_the_sample_by_oversight(call: Call) -> None:
    for command in (["tune", "cnn"], ["tune", "cnn", "--dry-run"], ["train", "resnet50"], ["plan", "cnn-deep"]):
        refused(call(*command), "no images are named; give --data FOLDER, set CIFAKE_RAY_DATA, or take --data sample")


@pytest.mark.parametrize(
    "arguments",
    [
        ("tune", "demo-cnn", "--dry-run", "--name", ""), ("tune", "demo-cnn", "--storage", " "), ("runs", "--storage="),
        ("tune", "demo-cnn", "--data", ""), ("doctor", "--address", ""), ("report", "x", "--out", ""),
        ("tune", "--resume", ""), ("submit", "--resume", ""), ("cache", "clear", "--kind", ""),
        ("tune", "demo-cnn", "--set", ""),
    ],
    ids=" ".join,
)  # fmt: skip
def test_an_empty_option_is_refused_by_its_name(call: Call, arguments: tuple[str, ...]) -> None:
    option = next(each for each in reversed(arguments) if each.startswith("--")).rstrip("=")
    refused(call(*arguments), f"{option} is empty; give a value, or leave it out")


@pytest.mark.parametrize("command", ["tune", "spaces", "evaluate", "status", "logs", "stop"])
def test_an_empty_argument_is_refused(call: Call, command: str) -> None:
    refused(call(command, ""), "an argument is empty")


def test_a_value_that_sets_a_key_to_nothing_is_no_empty_option(call: Call) -> None:
    ended = call("tune", "demo-cnn", "--dry-run", "--set", "search.target=", "--set=training.augment=''")
    assert planned(ended).training.augment == ()


def test_a_slip_in_a_runs_name_names_the_runs_to_train_too(call: Call, storage: Path, existing: Path) -> None:
    refused(call("train", f"{existing.name}x", "--storage", storage), "no such run", f"did you mean {existing.name}?")
    refused(call("train", "cmn", "--storage", storage, "--data", "sample"), "did you mean cnn?")


def test_a_dry_run_of_a_resume_prints_the_runs_experiment(call: Call, storage: Path, existing: Path) -> None:
    before = snapshot(existing)
    ended = call("tune", "--resume", "small", "--storage", storage, "--trials", "11", "--dry-run")
    assert planned(ended).search.trials == 11
    assert snapshot(existing) == before


# --- errors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (WorkError("all trials failed"), 1, "cifake-ray: all trials failed\n"),
        (Interrupted("go on with --resume"), 130, "cifake-ray: go on with --resume\n"),
        (RuntimeError("bang\nsecond line"), 1,
         "cifake-ray: unexpected RuntimeError: bang second line (--debug shows the traceback)\n"),
        (KeyboardInterrupt(), 130, ""),
        (torch.OutOfMemoryError("no memory"), 1,
         "cifake-ray: unexpected OutOfMemoryError: no memory (--debug shows the traceback)\n"),
    ],
)  # fmt: skip
def test_every_error_is_one_line_and_its_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, line: str
) -> None:
    def fail() -> None:
        raise error

    monkeypatch.setattr("cifake_ray.storage.cache.list_entries", fail)
    assert call("cache", "ls") == Ended(code, "", line)


def process(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from cifake_ray.cli import main; main()", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", [0, 3])
def test_debug_shows_the_traceback(place: int) -> None:
    arguments = ["cache", "clear", "--kind", "x"]
    quiet = process(*arguments)
    assert quiet.returncode == 2
    assert "Traceback" not in quiet.stderr
    loud = process(*arguments[:place], "--debug", *arguments[place:])
    assert loud.returncode != 0
    assert "Traceback" in loud.stderr
    assert "InputError" in loud.stderr


def test_a_reader_that_stops_listening_is_no_error() -> None:
    command = [sys.executable, "-c", "from cifake_ray.cli import main; main()", "spaces", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as lister:
        assert lister.stdout is not None
        assert lister.stderr is not None
        lister.stdout.close()
        assert lister.stderr.read() == ""
        assert lister.wait() == 0

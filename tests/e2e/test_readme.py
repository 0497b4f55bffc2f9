"""The README's commands, run in its order, with test-sized overrides where they would take long."""

import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cifake_ray.data import load_images
from cifake_ray.experiment import parse_yaml, validate_experiment
from cifake_ray.experiment.families.timm import PACKAGED, TimmBackbone
from tests.e2e.conftest import ROOT, Command

README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
LINES = [line.split("#")[0].strip() for kind, block in BLOCKS if not kind for line in block.splitlines()]
COMMANDS = [line.removeprefix("cifake-ray ") for line in LINES if line.startswith("cifake-ray ")]
COMMANDS.remove("data fetch --to ~/cifake")  # tests/data/datasets/test_fetch.py runs it against a server of its own

SMALL = "--trials 2 --set training.epochs=1 --set search.winner_seeds=1 --set data.limit=200"
FROZEN = f"{SMALL} --set model.weights=random --set model.image_size=32"
OVERRIDES = {
    "tune search_spaces/resnet50.yaml": FROZEN,
    "tune cnn --data ~/cifake --name quick": SMALL,
    "tune cnn --data ~/mine": SMALL,
    "tune resnet50 --data ~/mine": FROZEN,
    "tune --resume quick": "--trials 3",
    "train cnn": "--set training.epochs=1 --set data.limit=200",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images as Kaggle lays them out, from the generated sample, and what else the commands name."""
    sample = load_images("sample", limit=240)
    for part in ("train", "test"):
        images, labels = getattr(sample, part).images, getattr(sample, part).labels
        for index, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            file = tmp_path / "cifake" / part / ("FAKE", "REAL")[label] / f"{index:04}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    Image.fromarray(images[0]).resize((300, 200)).save(tmp_path / "picture.jpg")
    for index, pixels in enumerate(np.random.default_rng(0).integers(0, 256, (20, 40, 40, 3), dtype=np.uint8)):
        file = tmp_path / "other" / ("FAKE", "REAL")[index % 2] / f"{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    draw = np.random.default_rng(1)
    for index in range(80):  # pictures of any size
        height, width = draw.integers(100, 200, 2)
        file = tmp_path / "mine" / ("train", "test")[index % 4 == 3] / ("FAKE", "REAL")[index // 4 % 2] / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).save(file)
    shutil.copytree(ROOT / "search_spaces", tmp_path / "search_spaces")
    return tmp_path


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.timeout(600)
def test_every_command_of_the_readme_runs_in_its_order(
    cifake_ray: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(COMMANDS) > 10
    for command in COMMANDS:
        small = next((extra for start, extra in OVERRIDES.items() if command.startswith(start)), "")
        words = shlex.split(f"{command} {small}".replace("~/", f"{folder}/"))
        expanded = [path for word in words for path in (sorted(folder.glob(word)) if word.endswith("*") else [word])]
        assert cifake_ray(*expanded) == 0, f"{command}: {capsys.readouterr().err}"
    printed = capsys.readouterr().out
    assert "decoded images" not in printed
    assert (folder / "results" / "report" / "report.html").is_file()
    assert {path.name for path in (folder / "results" / "runs").iterdir()} == {
        "resnet50", "quick", "one", "crops", "frozen"
    }  # fmt: skip


@pytest.fixture
def short_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo's experiments with fewer images, epochs and retrainings."""
    copy = shutil.copytree(ROOT / "search_spaces" / "demo", tmp_path / "shipped" / "demo")
    for file in copy.iterdir():
        text = file.read_text()
        for long, short in (("epochs: 5", "epochs: 1"), ("winner_seeds: 3", "winner_seeds: 1"),
                            ("source: sample", "source: sample, limit: 240")):  # fmt: skip
            assert long in text
            text = text.replace(long, short)
        file.write_text(text)
    monkeypatch.setattr("cifake_ray.cli.study.shipped_experiments", lambda: sorted(copy.iterdir()))


@pytest.mark.usefixtures("ray_session", "short_demo")
def test_the_demo_ends_with_the_table_and_the_path_of_the_page(
    cifake_ray: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cifake_ray("demo", "--trials", "2") == 0
    printed = capsys.readouterr().out
    page = Path(printed.split("report: ")[-1].strip())
    assert page.is_file()
    assert page.is_relative_to(tmp_path)
    if not TimmBackbone(name="tf_efficientnet_lite0", stages=("stem",), weights=PACKAGED).missing_extra:
        assert "demo-efficientnet" in printed
        assert "imagenet-package" in printed
    for words in ("demo-cnn", "demo-resnet50", "random", "say nothing about CIFAKE", "next: cifake-ray report"):
        assert words in printed


def test_the_readmes_experiment_is_valid() -> None:
    (text,) = [block for kind, block in BLOCKS if kind == "yaml"]
    assert validate_experiment(parse_yaml(text, "README"), "README").name == "mine"


def test_make_has_the_readmes_targets() -> None:
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert {line.split()[1] for line in LINES if line.startswith("make ")} <= set(targets)

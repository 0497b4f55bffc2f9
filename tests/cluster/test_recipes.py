"""What all recipes promise: files that parse, one version, nothing open to the world unexplained, honest READMEs."""

import re
from pathlib import Path

import pytest
import yaml

from tests.cluster.conftest import CLUSTER

YAMLS = sorted(path.relative_to(CLUSTER) for path in CLUSTER.rglob("*.yaml"))
TEXTS = sorted(path for path in CLUSTER.rglob("*") if path.is_file() and path.suffix not in (".txt", ".pyc", ".png"))
OURS = ("docker", "kuberay", "monitoring", "ray-up")


@pytest.mark.parametrize("path", YAMLS, ids=str)
def test_every_yaml_file_parses(path: Path) -> None:
    assert all(document is not None for document in yaml.safe_load_all((CLUSTER / path).read_text()))


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(CLUSTER)))
def test_nothing_listens_everywhere_without_a_comment_that_says_why(path: Path) -> None:
    lines = path.read_text().splitlines()
    for index, line in enumerate(lines):
        if "0.0.0.0" in line.partition("#")[0] and path.suffix != ".md":
            before = "\n".join(lines[max(0, index - 4) : index])
            assert re.search(r"# .*0\.0\.0\.0", before), f"line {index + 1}: {line}"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(CLUSTER)))
def test_every_mention_of_the_image_has_this_version(path: Path, image_tag: str) -> None:
    for tag in re.findall(r"cifake-ray:\d[\w.]*-", path.read_text()):
        assert tag == image_tag


@pytest.mark.parametrize("folder", OURS)
def test_readmes_say_what_was_checked_and_what_was_not(folder: str) -> None:
    readme = (CLUSTER / folder / "README.md").read_text()
    for heading in ("## Checked", "## Not tried"):
        assert len(readme.partition(heading)[2].partition("\n## ")[0].strip()) > 50


def test_the_overview_names_every_recipe() -> None:
    overview = (CLUSTER / "README.md").read_text()
    assert {path.name for path in CLUSTER.iterdir() if path.is_dir()} <= set(re.findall(r"`([\w-]+)/`", overview))

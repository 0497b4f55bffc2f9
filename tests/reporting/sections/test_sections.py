"""A new section is a builder in a list: every writer shows it where it belongs, and none has to know of it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from cifake_ray.cli.show import print_comparison
from cifake_ray.reporting import sections
from cifake_ray.reporting.figures import DRAWINGS, Drawing
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.style import new_figure

from ..conftest import MakeRun


def draw(study: Study) -> Figure:
    figure, axes = new_figure(2.0)
    axes[0, 0].plot([len(study.trials)])
    return figure


TINY = Drawing("tiny", "Tiny", "A caption <of> its own.", png=False, of_study=True, draw=draw)


def build(studies: Sequence[Study]) -> Section:
    rows = [{"Study": study.name, "Trials & more": str(len(study.trials))} for study in studies]
    return Section(
        "Tiny topic", ("A sentence | of it.",), (Table(rows),), method="How it was counted.",
        caveats=("A caveat of it.",), data={"tiny.csv": pd.DataFrame(rows)}, remarks=("Try `a command`.",),
    )  # fmt: skip


def of_study(study: Study) -> Section:
    return Section("Tiny part", (f"Of {study.name} alone.",), figures=(TINY,))


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DRAWINGS, "tiny", TINY)
    for name, builder in (("OVERVIEW", build), ("TERMINAL", build), ("OF_STUDY", of_study)):
        monkeypatch.setattr(sections, name, [*getattr(sections, name), builder])


@pytest.mark.usefixtures("registered")
def test_new_section_is_in_markdown_and_csv_and_its_caveat_among_the_limits(make_run: MakeRun, tmp_path: Path) -> None:
    written = {path.name: path for path in write_report([make_run(trials=3)], tmp_path / "out")}
    text = written["comparison.md"].read_text()
    own, limits = text[text.index("## Tiny topic") :].split("## Limits")
    assert "A sentence \\| of it." in own
    assert "| Study | Trials &amp; more |\n|-------|-------------------|\n| cnn   | 3                 |" in own
    assert own.rstrip().endswith("How it was counted.")
    assert "- A caveat of it." in limits
    assert "Tiny part" not in text  # the page alone has parts of studies
    assert written["tiny.csv"].read_text() == "Study,Trials & more\ncnn,3\n"


@pytest.mark.usefixtures("registered")
def test_new_section_is_on_the_page_and_its_figure_among_those_of_the_study(make_run: MakeRun, tmp_path: Path) -> None:
    written = {path.name: path for path in write_report([make_run(trials=3)], tmp_path / "out")}
    page = written["report.html"].read_text()
    anchor = page[: page.index(">Tiny topic</a>")].rpartition('<a href="#')[2].rstrip('"')
    assert page.index(f'<h2 id="{anchor}">Tiny topic</h2>') < page.index('<h2 id="study-1">')
    assert "<th>Trials &amp; more</th>" in page
    assert "Try <code>a command</code>." in page
    assert page.index('<h2 id="study-1">') < page.index("<h3>Tiny part</h3>") < page.index('<h2 id="limits">')
    assert "A caption &lt;of&gt; its own.</figcaption>" in page
    assert "<text" in written["cnn-tiny.svg"].read_text()


@pytest.mark.usefixtures("registered")
def test_figure_of_a_section_is_removed_with_the_next_report(make_run: MakeRun, tmp_path: Path) -> None:
    write_report([make_run("first", trials=3)], tmp_path / "out")
    write_report([make_run("second", trials=3)], tmp_path / "out")
    assert [file.name for file in (tmp_path / "out" / "plots").glob("*-tiny.svg")] == ["second-tiny.svg"]


@pytest.mark.usefixtures("registered")
def test_new_section_is_in_the_terminal(make_run: MakeRun, capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison([make_run(trials=3)])
    printed = capsys.readouterr().out
    assert "Trials & more" in printed
    assert printed.rstrip().endswith("A sentence | of it.")


def test_no_section_and_no_writer_names_a_data_set() -> None:
    package = Path(sections.__file__).parents[1]
    files = [*package.glob("sections/*.py"), *package.glob("writers/*.py"), *package.glob("templates/*.j2")]
    assert len(files) > 25
    assert not [
        file.name
        for file in files
        if "cifake" in file.read_text().lower().replace("cifake_ray", "").replace("cifake-ray", "")
    ]

"""The section by generator: tables, the matrix with its marks, CSV, terminal."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cifake_ray.cli.show import print_comparison
from cifake_ray.reporting.load import load
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.section import Cell
from cifake_ray.reporting.sections.generators import build, generators, left_out_table

from ..conftest import MakeRun
from ..test_by_group import with_generators


@pytest.fixture
def runs(make_run: MakeRun) -> list[Path]:
    """A study of all generators, one without adam, and one that chose by bertha."""
    return [
        with_generators(make_run("whole"), {"adam": 8}),
        with_generators(make_run("without-adam"), {"adam": 40}, leave_out={"generator": ["adam"]}),
        with_generators(make_run("chosen"), {"bertha": 6, "": 20}, unseen=["bertha"]),
    ]


def test_the_matrix_marks_what_did_not_train(runs: list[Path]) -> None:
    section = build([load(run) for run in runs])
    assert section is not None
    (matrix,) = [table for table in section.tables if table.title == "Trained on, tested on"]
    shown = [{name: cell.text if isinstance(cell, Cell) else cell for name, cell in row.items()} for row in matrix.rows]
    assert shown == [
        {"Trained in": "whole", "adam": "95.00", "bertha": "100.00", "carl": "15 images*", "mean": "97.50",
         "minimum": "95.00"},
        {"Trained in": "without-adam", "adam": "75.00*", "bertha": "100.00", "carl": "15 images*", "mean": "87.50",
         "minimum": "75.00"},
        {"Trained in": "chosen", "adam": "90.00", "bertha": "85.00†", "carl": "15 images*", "mean": "87.50",
         "minimum": "85.00"},
    ]  # fmt: skip


def test_of_each_study_real_and_fake_stand_apart_with_mean_spread_and_minimum(runs: list[Path]) -> None:
    section = build([load(run) for run in runs])
    assert section is not None
    (over,) = [table for table in section.tables if table.title == "Over generators"]
    rows = {(row["Study"], str(row["Generators"]).partition(":")[0]): row for row in over.rows}
    assert list(rows)[:3] == [("whole", "all"), ("whole", "trained"), ("whole", "others")]  # carl is in no train part
    chosen = rows["chosen", "all"]
    assert str(chosen["R.Acc %"]).startswith("80.00 [")
    assert str(chosen["F.Acc %"]).startswith("96.13 [")
    assert chosen["FAKE right %"] == "95.00 ± 7.07, min. 90.00 (bertha)"
    assert rows["chosen", "others"]["FAKE right %"] == "90.00, min. 90.00 (bertha)"


def test_a_small_generator_has_its_number_and_interval_alone(runs: list[Path]) -> None:
    section = build([load(runs[0])])
    assert section is not None
    carl = section.tables[0].rows[2]
    assert (carl["Generator"], carl["FAKE images"], carl["In training"]) == ("carl", "15", "not in train")
    assert carl["FAKE right %"] == "[79.61, 100.00]"
    assert [carl[name] for name in ("Balanced %", "AP", "AUC")] == ["–"] * 3


def test_what_was_left_out_has_one_table_over_all_studies(make_run: MakeRun) -> None:
    studies = [
        load(with_generators(make_run(name), {name: wrong}, leave_out={"generator": [name]}))
        for name, wrong in (("adam", 8), ("bertha", 30))
    ]
    rows = left_out_table(studies).rows
    assert [row["Left out"] for row in rows] == ["generator adam", "generator bertha", "mean", "spread (±)", "minimum"]
    assert [row["Judged rightly %"] for row in rows][2:] == ["70.00", "28.28", "50.00"]
    assert left_out_table(studies[:1]).rows[-1]["Left out"] == "generator adam"


def test_the_section_is_in_every_form_of_the_report(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = {path.name: path for path in write_report(runs, tmp_path / "out")}
    text = written["comparison.md"].read_text()
    assert "## By generator" in text
    assert "without-adam neither trained nor chose by images of generator adam." in text
    assert "chosen chose configurations and epochs by FAKE images of bertha" in text
    assert "75.00\\*" in text
    assert "trained without generator adam" in text  # the note beside what the model cost
    page = written["report.html"].read_text()
    assert "<th>Trained in</th>" in page
    assert "left out</small>" in page
    frame = pd.read_csv(written["generators.csv"])
    assert len(frame) == 9
    assert frame.query("study == 'without-adam' and group == 'adam'")["in_training"].item() == "left out"
    assert "generators.svg" in {path.name for path in written.values()}
    print_comparison(runs)
    assert "Trained in" in capsys.readouterr().out


def test_the_figure_is_hollow_where_no_image_of_a_generator_trained(runs: list[Path]) -> None:
    figure = generators([load(run) for run in runs])
    assert figure is not None
    hollow = [line for line in figure.axes[0].lines if line.get_markerfacecolor() == "#fefefe"]
    shares = [float(np.asarray(line.get_xdata(), float)[0]) for line in hollow]
    assert shares == pytest.approx([50.0, 90.0])


def test_studies_without_generators_have_no_such_section(make_run: MakeRun) -> None:
    studies = [load(make_run())]
    assert build(studies) is None
    assert generators(studies) is None

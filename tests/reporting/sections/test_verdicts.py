"""Verdicts in the report: rows of any number of sets, what alpha gave on the test part, what nothing covers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cifake_ray.detector.verdict import decide
from cifake_ray.evaluation.verdicts import ALPHAS, verdict_rows
from cifake_ray.reporting.load import Study, load
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.sections import verdicts
from cifake_ray.runs.records import Decision, Verdicts, VerdictSet
from cifake_ray.stats.conformal import excluded_interval

from ..conftest import MakeRun, robustness_of

LABELS = np.repeat(np.array([0, 1], np.uint8), 2000)


def logits_of(seed: int, apart: float = 2.0) -> np.ndarray:
    return np.where(LABELS == 0, apart, -apart) + np.random.default_rng(seed).normal(0, 1.5, len(LABELS))


DECISION = decide(LABELS, logits_of(0))


def rows_of(seed: int, apart: float = 2.0, outside: float = 0.01) -> list[Any]:
    strange = np.random.default_rng(seed).random(len(LABELS)) < outside
    return verdict_rows(DECISION, LABELS, logits_of(seed, apart), strange)


def calibrated(run: Path, decision: Decision = DECISION) -> Path:
    """The run with a decision and verdicts on two sets of its test part."""
    (run / "best").mkdir()
    (run / "best" / "model.json").write_text(json.dumps({"seed": 2, "decision": decision.as_json()}))
    sets = [VerdictSet(name="test part", like_calibration=True, rows=rows_of(1)),
            VerdictSet(name="left out of training: bird", rows=rows_of(2, apart=0.5))]  # fmt: skip
    (run / "verdicts.json").write_text(json.dumps(Verdicts(schema_version=1, sets=sets).as_json()))
    return run


@pytest.fixture
def study(make_run: MakeRun) -> Study:
    return load(calibrated(make_run()))


def test_each_set_has_its_risk_coverage_and_shares(study: Study) -> None:
    first, second = verdicts.build([study]).tables[0].rows
    assert [row["Images"] for row in (first, second)] == ["test part", "left out of training: bird"]
    row = next(row for row in rows_of(1) if row.alpha == 0.01)
    given = row.fake.images + row.real.images - row.fake.unsure - row.real.unsure
    wrong = row.fake.real + row.real.fake
    assert str(first["Given %"]).startswith(f"{100 * (given / 4000):.2f} [")
    assert str(first["Wrong %"]).startswith(f"{100 * (wrong / given):.2f} [")
    shares = [f"{100 * (count / 2000):.2f}" for count in (row.real.real, row.real.unsure, row.real.fake)]
    assert first["REAL: real / unsure / fake %"] == " / ".join(shares)
    assert first["Number"] == "4,000"


def test_what_alpha_gave_has_its_interval_for_images_drawn_as_validation_alone(study: Study) -> None:
    table = verdicts.build([study]).tables[1]
    assert "also chose epoch and configuration" in table.above
    fake, real = table.rows
    row = next(row for row in rows_of(1) if row.alpha == 0.01)
    assert [one["Class"] for one in (fake, real)] == ["FAKE", "REAL"]
    assert real["Expected %"] == f"{100 * (20 / 2001):.2f}"
    assert real["Excluded %"] == f"{100 * (row.real.excluded / 2000):.2f}"
    low, high = excluded_interval(20, 2000, 2000)
    assert real["By chance %"] == f"[{100 * (low / 2000):.2f}, {100 * (high / 2000):.2f}]"
    assert real["Within"] == "yes"


def test_a_promise_that_is_not_kept_is_said(make_run: MakeRun) -> None:
    run = calibrated(make_run())
    tree = json.loads((run / "verdicts.json").read_text())
    for row in tree["sets"][0]["rows"]:
        row["REAL"]["excluded"], row["FAKE"]["excluded"] = 400, 0
    (run / "verdicts.json").write_text(json.dumps(tree))
    assert [row["Within"] for row in verdicts.build([load(run)]).tables[1].rows] == ["no, fewer", "no, more"]


def test_images_from_elsewhere_are_sets_as_well_and_refitted_ones_too(make_run: MakeRun) -> None:
    run = calibrated(make_run())
    (run / "evaluations").mkdir()
    decision = DECISION.as_json() | {"calibrated_on": "pictures of the user's own (mine)"}
    refitted = {"data": "/mine", "decision": decision, "verdicts": [row.as_json() for row in rows_of(4)]}
    noted = {"data": "/elsewhere/other", "verdicts": [row.as_json() for row in rows_of(3)], "recalibration": refitted}
    (run / "evaluations" / "other.json").write_text(json.dumps(noted))
    study = load(run)
    names = [row["Images"] for row in verdicts.build([study]).tables[0].rows]
    assert names[2:] == ["other", "other, by pictures of the user's own (mine)"]
    figure = verdicts.risk_coverage([study])
    assert figure is not None
    lines = figure.axes[0].lines
    assert len(lines) == 2 * 4  # each with the mark of alpha 0.01
    assert [line.get_linestyle() for line in lines[::2]] == ["-", ":", ":", ":"]


def test_the_figure_goes_up_with_alpha(study: Study) -> None:
    figure = verdicts.risk_coverage([study])
    assert figure is not None
    line, mark = figure.axes[0].lines[:2]
    coverage, risk = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
    assert len(coverage) == len(ALPHAS)
    assert (np.diff(coverage) > 0).all()
    assert risk[-1] > risk[0]
    at = ALPHAS.index(0.01)
    assert (np.asarray(mark.get_xdata()), np.asarray(mark.get_ydata())) == ([coverage[at]], [risk[at]])


def test_degraded_images_have_their_verdicts_in_a_table(make_run: MakeRun) -> None:
    run = calibrated(make_run())
    measured = robustness_of({"as they are": 0.95, "blur, sigma 1 px": 0.6})
    for row, apart in zip(measured["rows"], (2.0, 0.3), strict=True):
        row["verdicts"] = [row.as_json() for row in rows_of(5, apart) if row.alpha == 0.01]
    (run / "robustness.json").write_text(json.dumps(measured))
    table = verdicts.build([load(run)]).tables[2]
    assert [row["Test images"] for row in table.rows] == ["as they are", "blur, sigma 1 px"]
    assert str(table.rows[1]["cnn"]).startswith("REAL called fake ")
    assert "unsure" in str(table.rows[1]["cnn"])


def test_an_uncalibrated_study_has_the_command_and_every_report_what_is_not_covered(
    make_run: MakeRun, tmp_path: Path
) -> None:
    run = make_run()
    section = verdicts.build([load(run)])
    assert not section.tables
    assert section.remarks == ["Verdicts are not measured for cnn: `cifake-ray evaluate RUN --calibrate` does it."]
    written = {path.name: path.read_text() for path in write_report([run], tmp_path / "out") if path.suffix != ".png"}
    for name in ("comparison.md", "report.html"):
        limits = written[name].partition("Not covered by any figure or verdict: ")[2]
        assert limits.startswith(
            "images edited in part, images of generators other than those that made the training images (Stable "
            "Diffusion 1.4), and recapture"
        )


def test_generators_are_named_as_the_source_does(make_run: MakeRun) -> None:
    run = make_run()
    environment = json.loads((run / "environment.json").read_text())
    groups = {"generator": {f"g{number}": 5 for number in range(15)}}
    taken = [{"part": "train", "class": "FAKE", "images": 75, "groups": groups}]
    environment["data"] |= {"fingerprint": "0" * 64, "taken": taken}
    (run / "environment.json").write_text(json.dumps(environment))
    assert "(g0, g1, g2, g3, g4, g5, g6, g7, g8, g9, g10, g11 and 3 more)" in verdicts.not_covered([load(run)])


def test_the_section_stands_in_page_and_markdown(make_run: MakeRun, tmp_path: Path) -> None:
    written = {path.name: path for path in write_report([calibrated(make_run())], tmp_path / "out")}
    text = written["comparison.md"].read_text()
    assert "## Verdicts: fake, real or unsure" in text
    assert "### What alpha promised and gave" in text
    assert "Verdicts: fake, real or unsure</h2>" in written["report.html"].read_text()
    assert "risk-coverage.svg" in written

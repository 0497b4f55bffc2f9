"""What a model reaches without pixels stands beside the headline; close to the headline, the headline says so."""

import json
from pathlib import Path
from typing import Any

from cifake_ray.data.audit.properties import PropertyByClass
from cifake_ray.reporting.load import load
from cifake_ray.reporting.report import write_report
from cifake_ray.reporting.sections import bias, head
from cifake_ray.runs.records import Bias, PropertyScore, Share

from ..conftest import MakeRun


def noted(run: Path, value: float | None) -> Path:
    """The run with this bias in environment.json; none where value is None."""
    score = None if value is None else Share(value=value, low=value - 0.02, high=value + 0.01)
    row = PropertyByClass(name="format", words={"FAKE": {"PNG": 80, "JPEG": 20}, "REAL": {"JPEG": 100}})
    properties = [PropertyScore(name="format", alone=0.9, lost=0.3)] if score else []
    found = Bias(images={"FAKE": 100, "REAL": 100}, of=250, accuracy=score, properties=properties, table=[row])
    environment: dict[str, Any] = json.loads((run / "environment.json").read_text())
    environment["data"]["bias"] = found.model_dump()
    (run / "environment.json").write_text(json.dumps(environment))
    return run


def test_headline_within_five_points_of_a_model_without_pixels_carries_the_warning(make_run: MakeRun) -> None:
    study = load(noted(make_run(), 0.92))
    first, second, *_ = head.headlines([study])
    assert first.startswith("Best test accuracy")
    assert second.startswith("Warning: a model that sees no pixel reaches 92.0 % [90.0, 93.0] balanced accuracy")
    assert "by format" in second


def test_headline_far_above_it_carries_none_and_the_figure_still_stands_beside_it(make_run: MakeRun) -> None:
    study = load(noted(make_run(), 0.60))
    assert not any("no pixel" in one for one in head.headlines([study]))
    section = bias.build([study])
    assert section is not None
    assert section.sentences == []
    (row,) = section.tables[0].rows
    assert row["Without a pixel, balanced"] == "60.0 % [58.0, 61.0]"
    assert row["Pictures"] == "200 of 250"
    assert row["Separated by"] == "format 90.0 %"


def test_runs_without_the_check_have_no_section_and_too_few_files_a_dash(make_run: MakeRun) -> None:
    assert bias.build([load(make_run("earlier"))]) is None
    section = bias.build([load(noted(make_run("few"), None))])
    assert section is not None
    (row,) = section.tables[0].rows
    assert (row["Without a pixel, balanced"], row["Apart, points"]) == ("–", "–")


def test_report_shows_it_in_markdown_and_each_property_by_class_on_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    written = {path.name: path for path in write_report([noted(make_run(), 0.92)], tmp_path / "out")}
    text = written["comparison.md"].read_text()
    assert text.index("## Accuracy") < text.index("## Without a pixel") < text.index("## How to read it")
    assert "cnn. Warning: a model that sees no pixel reaches 92.0 %" in text
    page = written["report.html"].read_text()
    assert "PNG 80 %, JPEG 20 %" in page


def test_bias_of_pictures_as_delivered_stands_beside_that_of_the_re_encoded(make_run: MakeRun) -> None:
    run = noted(make_run("neutral"), 0.97)
    file = run / "environment.json"
    environment = json.loads(file.read_text())
    environment["data"]["neutral_bias"] = environment["data"]["bias"] | {
        "accuracy": {"value": 0.52, "low": 0.5, "high": 0.54}
    }
    file.write_text(json.dumps(environment))
    section = bias.build([load(run)])
    assert section is not None
    row = section.tables[0].rows[0]
    assert row["As delivered"].startswith("97.0 %")
    assert row["Without a pixel, balanced"] == "52.0 % [50.0, 54.0]"
    part = bias.of_study(load(run))
    assert part is not None
    assert part.sentences[0].startswith("as delivered, a model that sees no pixel reaches 97.0 %")

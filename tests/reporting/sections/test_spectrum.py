"""The radial spectrum's figure stands beside each model of a study on the sample of native sizes, and nowhere else."""

import json
from pathlib import Path

from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections import spectrum

from ..conftest import MakeRun


def noted(run: Path) -> Path:
    file = run / "environment.json"
    environment = json.loads(file.read_text())
    environment["data"]["spectrum"] = {"accuracy": {"value": 0.9, "low": 0.833, "high": 0.942}, "images": 120}
    file.write_text(json.dumps(environment))
    return run


def test_each_model_stands_beside_what_the_spectrum_tells(make_run: MakeRun) -> None:
    section = spectrum.build([load(noted(make_run("native"))), load(make_run("other"))])
    assert section is not None
    rows = section.tables[0].rows
    assert {row["Study"] for row in rows} == {"native"}
    assert {row["Radial spectrum alone"] for row in rows} == {"90.0 % [83.3, 94.2]"}
    assert spectrum.build([load(make_run("third"))]) is None

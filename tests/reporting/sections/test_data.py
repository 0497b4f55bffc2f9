"""What the report says of the pictures of a study."""

import json

import pytest

from cifake_ray.reporting.load import load
from cifake_ray.reporting.sections.data import of_study

from ..conftest import MakeRun


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["crop-128"], "centred crop of 128 x 128 native pixels"),
        (
            ["tiles-96", "resize-96-reduced"],
            "5 tiles of 96 x 96 native pixels (centre and corners); whole picture resized",
        ),
        (["resize-32"], "whole picture of 32 x 32 pixels"),
        ([], "not recorded"),
    ],
)
def test_how_the_model_sees_a_picture(make_run: MakeRun, names: list[str], said: str) -> None:
    run = make_run("cnn")
    file = run / "environment.json"
    noted = json.loads(file.read_text())
    noted["data"] = noted.get("data", {}) | {"source": "x", "transforms": names}
    file.write_text(json.dumps(noted))
    facts = {row["Fact"]: row["Value"] for row in of_study(load(run)).tables[0].rows}
    assert facts["Pictures as the model sees them"].startswith(said)

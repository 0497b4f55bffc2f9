"""A blend in a report: its row with its weights, its members, and nothing that only a search has."""

import json
import shutil

import pytest

from cifake_ray.reporting.closing import closing_lines
from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.load import Study, load, state_of, summarise_runs
from cifake_ray.reporting.repeat import repeat_command, winner_command
from cifake_ray.reporting.sections import blend, document
from cifake_ray.reporting.sections.head import headlines
from cifake_ray.reporting.writers.html import Plots, render
from cifake_ray.reporting.writers.markdown import markdown

from ..conftest import MakeRun

NOTE = {
    "schema": 1,
    "members": [
        {"run": "cnn", "model": "cnn", "seed": 2, "sha256": "a" * 64, "chosen": 2, "weight": 0.4, "val_accuracy": 0.93},
        {"run": "rn", "model": "resnet50", "seed": 1, "chosen": 3, "weight": 0.6, "val_accuracy": 0.96},
        {"run": "deep", "model": "cnn-deep", "seed": 3, "chosen": 0, "weight": 0.0, "val_accuracy": 0.9},
    ],
    "metric": "val_accuracy",
    "method": "Greedy selection.",
    "validation_images": 20000,
    "val_accuracy": 0.971,
}


@pytest.fixture
def mix(make_run: MakeRun) -> Study:
    """A tested run turned into a blend: no trial, one model."""
    path = make_run("mix")
    for name in ("trials.csv", "curves.csv", "timeline.csv", "study.journal"):
        (path / name).unlink(missing_ok=True)
    experiment = (path / "experiment.yaml").read_text()
    begin = experiment.index("search_space:")
    end = experiment.index("search:", begin)
    (path / "experiment.yaml").write_text(f"{experiment[:begin]}search_space: {{}}\n{experiment[end:]}")
    test = json.loads((path / "test.json").read_text())
    test["winners"] = [winner | {"trial_id": 0} for winner in test["winners"] if winner["role"] == "tuned"]
    (path / "test.json").write_text(json.dumps(test))
    (path / "blend.json").write_text(json.dumps(NOTE))
    return load(path)


def test_its_row_has_the_weights_and_no_figure_of_a_search(mix: Study, make_run: MakeRun) -> None:
    frame = comparison_table([mix, load(make_run("cnn"))])
    row = frame[frame["study"] == "mix"].iloc[0]
    assert row["role"] == "blend"
    assert row["model"] == "blend: 0.60 rn + 0.40 cnn"
    assert row[["trials", "stopped", "failed", "core_seconds"]].isna().all()
    assert row["verdict"] == "not judged"
    assert row["note"].startswith("weights chosen on validation")
    assert (frame.loc[frame["study"] == "mix", "role"] == "blend").all()  # and no baseline


def test_the_section_names_every_model_that_was_offered(mix: Study, make_run: MakeRun) -> None:
    section = blend.build([mix])
    assert section is not None
    rows = list(section.tables[0].rows)
    assert [(row["Member"], row["Weight"], row["Validation % alone"]) for row in rows] == [
        ("cnn", "0.40", "93.00"), ("rn", "0.60", "96.00"), ("deep", "not taken", "90.00")
    ]  # fmt: skip
    assert "means over seeds" in section.method
    assert "Greedy selection." in section.method
    assert blend.build([load(make_run("cnn"))]) is None


def test_a_report_says_blend_where_a_study_says_what_was_searched(mix: Study, make_run: MakeRun) -> None:
    studies = [mix, load(make_run("cnn"))]
    found = document(studies)
    text = markdown(found)
    assert "## Blends" in text
    assert "mix: a blend of models of other studies (0.60 rn + 0.40 cnn)." in headlines(studies)
    (part,) = [part for part in found.studies if part.name == "mix"]
    titles = [section.title for section in part.sections]
    assert "What is averaged" in titles
    assert not {"What was searched", "The winner's settings"} & set(titles)
    assert "mix" in render(found, Plots([], [[], []]), images=False)
    assert "0.40" in text


def test_its_commands_and_closing_lines(mix: Study, make_run: MakeRun) -> None:
    make_run("cnn")
    command = repeat_command(mix)
    assert command.startswith("cifake-ray blend ")
    assert command.endswith(" rn deep --name mix-again")
    assert f"{mix.path.parent / 'cnn'} rn" in command
    assert winner_command(mix) == command
    lines = closing_lines(mix)
    assert "0.60 rn + 0.40 cnn, chosen by val_accuracy on 20,000 validation images: 97.10 % there" in lines[1]
    assert "nothing was searched" not in lines[0]


def test_runs_lists_it_as_tested_with_its_validation_accuracy(mix: Study) -> None:
    assert state_of(mix) == "tested"
    row = summarise_runs(mix.path.parent).set_index("name").loc["mix"]
    assert row["best_val_accuracy"] == 0.971
    assert row["model"] == "blend: 0.60 rn + 0.40 cnn"
    copy = mix.path.parent / "half"
    shutil.copytree(mix.path, copy)
    (copy / "test.json").unlink()
    assert state_of(load(copy)) == "unfinished"

"""`evaluate --calibrate`: what a run of an earlier version gets, and what the rule then gives on its test part."""

import json
from collections.abc import Callable

import numpy as np
import pytest

from cifake_ray.data import load_images
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.note import read_model_note
from cifake_ray.detector.verdict import Rule
from cifake_ray.errors import InputError
from cifake_ray.evaluation.calibration import calibrate_run, held_out_rows
from cifake_ray.reporting.load import load
from cifake_ray.runs.records import Verdicts
from cifake_ray.runs.records.store import read_record
from cifake_ray.runs.run import Run

CopyOf = Callable[..., Run]
KINDS = ("cnn", "resnet50")


def as_of_version_0_1(run: Run) -> Run:
    """The run without decision, domain and verdicts."""
    note = json.loads((run.best / "model.json").read_text())
    note = {key: value for key, value in note.items() if key not in ("decision", "domain", "transform")}
    (run.best / "model.json").write_text(json.dumps(note))
    run.verdicts_file.unlink()
    return run


@pytest.mark.parametrize("kind", KINDS)
def test_an_earlier_run_gets_what_a_study_gives_its_model(copy_of: CopyOf, kind: str) -> None:
    run = copy_of(kind, scored=True)
    note, verdicts = read_model_note(run), json.loads(run.verdicts_file.read_text())
    decision, found = calibrate_run(as_of_version_0_1(run))
    again = read_model_note(run)
    assert note.decision is not None
    assert again.decision == decision
    assert again.domain == note.domain
    assert again.seed == note.seed
    assert (decision.a, decision.b) == pytest.approx((note.decision.a, note.decision.b), rel=1e-2, abs=1e-3)
    assert found == read_record(run, run.verdicts_file, Verdicts)
    assert [one["name"] for one in verdicts["sets"]] == [one.name for one in found.sets] == ["test part"]


def test_verdicts_of_the_test_part_are_those_of_its_pictures(copy_of: CopyOf) -> None:
    run = copy_of("cnn", scored=True)
    _, verdicts = calibrate_run(run, alpha=0.03)
    note, test = read_model_note(run), load_images("sample", limit=200).test
    assert note.decision is not None
    (row,) = [row for row in verdicts.sets[0].rows if row.alpha == 0.03]
    excluded = Rule(note.decision, 0.03).excluded(load_detector(run).logits(np.array(test.images)))
    assert row.fake.images + row.real.images == 50
    for label, found in enumerate((row.fake, row.real)):
        assert found.excluded == excluded[test.labels == label, label].sum()
    assert row.real.calibrated == 50
    assert load(run.path).records.verdicts == verdicts


def test_a_report_refuses_verdicts_that_the_stored_logits_do_not_give(copy_of: CopyOf) -> None:
    run = copy_of("cnn", scored=True)
    tree = json.loads(run.verdicts_file.read_text())
    row = next(row for row in tree["sets"][0]["rows"] if row["alpha"] == 0.1)
    row["REAL"]["excluded"] += 5
    run.verdicts_file.write_text(json.dumps(tree))
    with pytest.raises(InputError, match=r"verdicts\.json: at alpha 0\.1, REAL\.excluded is noted as"):
        load(run.path)


def test_calibration_needs_the_runs_own_images(copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch, tmp_path: str) -> None:
    run = copy_of("cnn", scored=True)
    run.environment_file.write_text(json.dumps({"data": {"fingerprint": "of other images"}}))
    monkeypatch.setenv("CIFAKE_RAY_CACHE", str(tmp_path))
    before = (run.best / "model.json").read_bytes()
    with pytest.raises(InputError, match="not those of"):
        calibrate_run(run, "sample")
    assert (run.best / "model.json").read_bytes() == before


def test_the_rows_that_validate_are_those_of_the_study(copy_of: CopyOf) -> None:
    run, images = copy_of("cnn"), load_images("sample", limit=200)
    rows = held_out_rows(run.experiment(), images)
    assert len(rows) == 100
    assert set(images.train.labels[rows].tolist()) == {0, 1}

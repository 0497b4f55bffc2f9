"""Lines of `predict` and `evaluate` about verdicts, and the options that go together."""

from pathlib import Path
from typing import Any

import pytest

from cifake_ray.cli import read
from cifake_ray.cli.verdicts import print_calibration, print_prediction, verdict_lines
from cifake_ray.errors import InputError
from cifake_ray.runs.records import (
    ClassLogits,
    ClassVerdicts,
    Decision,
    DomainCounts,
    Evaluation,
    Probabilities,
    Recalibration,
    VerdictRow,
    Verdicts,
    VerdictSet,
)

Printed = pytest.CaptureFixture[str]
ANSWER: dict[str, Any] = {
    "file": "a.png", "verdict": "unsure", "probability": 0.0004, "calibrated": "validation", "alpha": 0.01,
    "prior": 0.5, "reasons": ["both labels are plausible"], "label": "REAL", "p_fake": 0.2, "domain": "inside",
    "score": 0.3, "reason": None, "remarks": ["grey to RGB"],
}  # fmt: skip
UNCALIBRATED = ANSWER | {
    "verdict": None, "probability": None, "calibrated": "uncalibrated", "alpha": None, "prior": None,
    "reasons": ["uncalibrated: `cifake-ray evaluate runs/cnn --calibrate` gives the model a verdict"], "remarks": [],
}  # fmt: skip
DECISION = Decision(a=1.25, b=-0.5, fake=ClassLogits(images=500), real=ClassLogits(images=40))
ROW = VerdictRow(
    alpha=0.01,
    fake=ClassVerdicts(images=200, fake=180, real=2, unsure=18, outside=3, rank=5, calibrated=500),
    real=ClassVerdicts(images=50, unsure=50, rank=0, calibrated=40),
)


def test_a_picture_is_a_line_of_verdict_probability_name_and_reasons(capsys: Printed) -> None:
    print_prediction(ANSWER)
    assert capsys.readouterr().out == "unsure  p(FAKE) < 0.001  a.png  (both labels are plausible; grey to RGB)\n"
    print_prediction({"file": "b.png", "error": "not an image"})
    assert capsys.readouterr().out == "error  b.png: not an image\n"


@pytest.mark.parametrize(
    ("domain", "reason", "words"),
    [("inside", None, ""), ("unknown", None, "domain: unknown; "),
     ("unknown", "3 images", "domain: unknown, 3 images; "),
     ("outside", "9 px", "the answer means nothing, the picture is unlike those of validation: 9 px; ")],
)  # fmt: skip
def test_a_run_without_a_decision_says_uncalibrated(
    domain: str, reason: str | None, words: str, capsys: Printed
) -> None:
    print_prediction(UNCALIBRATED | {"domain": domain, "reason": reason})
    assert capsys.readouterr().out == (
        f"uncalibrated REAL  p(FAKE) 0.200  a.png  ({words}uncalibrated: `cifake-ray evaluate runs/cnn --calibrate` "
        "gives the model a verdict)\n"
    )


def test_verdicts_are_shares_of_each_class() -> None:
    assert list(verdict_lines(Evaluation(alpha=0.01, verdicts=[ROW]))) == [
        "verdicts at alpha 0.01:",
        "  of 200 FAKE: fake 90.00 %, real 1.00 %, unsure 9.00 % (3 unlike the calibration pictures)",
        "  of 50 REAL: fake 0.00 %, real 0.00 %, unsure 100.00 % (too few of 40 calibration pictures to exclude the "
        "label)",
    ]
    assert list(verdict_lines(Evaluation(alpha=0.01))) == [
        "uncalibrated: no verdicts; `cifake-ray evaluate RUN --calibrate` fits them"
    ]


@pytest.mark.parametrize("known", [False, True])
def test_a_recalibration_says_what_changed(known: bool) -> None:
    found = Recalibration(
        data="mine", alpha=0.01, images={"FAKE": 30, "REAL": 20}, left_out=4, decision=DECISION, verdicts=[ROW],
        domain=DomainCounts(inside=9, outside=1), before=Probabilities(ece=0.2, log_loss=0.9) if known else None,
        after=Probabilities(ece=0.05, log_loss=0.4), kept=known,
    )  # fmt: skip
    lines = list(verdict_lines(Evaluation(alpha=0.01, recalibration=found, domain=DomainCounts(outside=10))))
    assert lines[0] == "calibrated on 30 FAKE + 20 REAL pictures of mine (4 left out: copies of train pictures or of " \
                       "judged ones):"  # fmt: skip
    before = ("0.2000", "0.9000") if known else ("uncalibrated", "uncalibrated")
    assert lines[3] == f"calibration error {before[0]} -> 0.0500, log loss {before[1]} -> 0.4000"
    assert lines[4] == "1 are unlike these pictures (before: 10)"
    assert lines[5].endswith("best/ has this decision now" if known else "--keep puts this decision there")


def test_what_calibration_wrote_is_the_formula_and_the_test_part(capsys: Printed) -> None:
    print_calibration(DECISION, Verdicts(sets=[VerdictSet(name="test part", rows=[ROW])]), 0.01)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "best/model.json has a decision by 500 FAKE + 40 REAL validation pictures; p(FAKE) = 1 / (1 + exp(-(1.2500 "
        "logit -0.5000)))"
    )
    assert said[1] == "test part, without copies of train images, at alpha 0.01:"
    assert said[2].startswith("  of 200 FAKE: fake 90.00 %")


@pytest.mark.parametrize(
    ("options", "words"),
    [({"calibrate_on": "mine"}, "add --data SOURCE"), ({"calibrate": True, "explain": True}, "no other option"),
     ({"keep": True, "data": "x"}, "add --calibrate-on SOURCE"),
     ({"calibrate_on": "mine", "data": "x", "robustness": True}, "and nothing else")],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(options: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=words):
        read.evaluate(str(tmp_path), **options)

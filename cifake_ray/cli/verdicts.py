"""What `predict` and `evaluate` print of verdicts."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from cifake_ray.console import printable

if TYPE_CHECKING:
    from cifake_ray.runs.records import ClassVerdicts, Decision, Evaluation, Recalibration, VerdictRow, Verdicts

_WORDS = ("fake", "real", "unsure")


def print_prediction(result: dict[str, Any]) -> None:
    """Print one picture's line: verdict, probability, name, reasons and remarks; of an uncalibrated model the label."""
    name = printable(result["file"])
    if "error" in result:
        print(f"error  {name}: {printable(result['error'])}")
        return
    notes = [*result["reasons"], *result["remarks"]]
    if result["verdict"] is None:
        notes = [*_domain_notes(result), *notes]
        print(f"uncalibrated {result['label']}  p(FAKE) {_probability(result['p_fake'])}  {name}  ({'; '.join(notes)})")
        return
    print(f"{result['verdict']:6}  p(FAKE) {_probability(result['probability'])}  {name}  ({'; '.join(notes)})")


def _domain_notes(result: dict[str, Any]) -> list[str]:
    """What an uncalibrated model knows of the picture; the reasons of a verdict have this."""
    if result["domain"] == "inside":
        return []
    if result["domain"] == "outside":
        return [f"the answer means nothing, the picture is unlike those of validation: {result['reason']}"]
    return [f"domain: unknown{', ' * bool(result['reason'])}{result['reason'] or ''}"]


def _probability(value: float) -> str:
    return "> 0.999" if value > 0.999 else "< 0.001" if value < 0.001 else f"{value:.3f}"


def verdict_lines(result: "Evaluation") -> Iterator[str]:
    """The verdicts of an evaluation by class, and what a recalibration changed; nothing of an uncalibrated model."""
    if result.verdicts:
        yield f"verdicts at alpha {result.alpha:g}:"
        yield from _shares(_at(result.verdicts, result.alpha))
    elif result.recalibration is None:
        yield "uncalibrated: no verdicts; `cifake-ray evaluate RUN --calibrate` fits them"
    if result.recalibration is not None:
        yield from _recalibration_lines(result, result.recalibration)


def _recalibration_lines(result: "Evaluation", found: "Recalibration") -> Iterator[str]:
    pictures = " + ".join(f"{count:,} {label}" for label, count in found.images.items())
    left = f" ({found.left_out:,} left out: copies of train pictures or of judged ones)" if found.left_out else ""
    yield f"calibrated on {pictures} pictures of {printable(found.data)}{left}:"
    yield from _shares(_at(found.verdicts, found.alpha))
    if found.after is not None:
        before = f"{found.before.ece:.4f}" if found.before else "uncalibrated"
        loss = f"{found.before.log_loss:.4f}" if found.before else "uncalibrated"
        yield f"calibration error {before} -> {found.after.ece:.4f}, log loss {loss} -> {found.after.log_loss:.4f}"
    inside = f"{found.domain.outside:,} are unlike these pictures (before: {result.domain.outside:,})"
    yield f"domain unknown: {found.domain.reason}" if found.domain.unknown else inside
    where = "best/ has this decision now" if found.kept else "best/ is unchanged; --keep puts this decision there"
    yield f"written into the run's evaluations; {where}"


def _at(rows: Sequence["VerdictRow"], alpha: float) -> "VerdictRow":
    return next(row for row in rows if row.alpha == alpha)


def _shares(row: "VerdictRow") -> Iterator[str]:
    """`of 500 FAKE: fake 90.00 %, real 0.40 %, unsure 9.60 % (12 unlike the calibration pictures)`."""
    from cifake_ray.runs.columns import LABELS  # of pydantic, which --help must not wait for

    for label, found in zip(LABELS, (row.fake, row.real), strict=True):
        if found.images:
            shares = ", ".join(f"{word} {100 * getattr(found, word) / found.images:.2f} %" for word in _WORDS)
            yield f"  of {found.images:,} {label}: {shares}{_notes(found)}"


def _notes(found: "ClassVerdicts") -> str:
    notes = [f"{found.outside:,} unlike the calibration pictures"] if found.outside else []
    notes += [f"too few of {found.calibrated:,} calibration pictures to exclude the label"] if not found.rank else []
    return f" ({'; '.join(notes)})" if notes else ""


def print_calibration(decision: "Decision", verdicts: "Verdicts", alpha: float) -> None:
    """Print what `evaluate --calibrate` wrote into best/, and what the rule gives on the run's own test part."""
    pictures = f"{decision.fake.images:,} FAKE + {decision.real.images:,} REAL validation pictures"
    print(f"best/model.json has a decision by {pictures}; p(FAKE) = 1 / (1 + exp(-({decision.a:.4f} logit "
          f"{decision.b:+.4f})))")  # fmt: skip
    for one in verdicts.sets:
        print(f"{one.name}, without copies of train images, at alpha {alpha:g}:")
        for line in _shares(_at(one.rows, alpha)):
            print(line)

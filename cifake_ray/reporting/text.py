"""The comparison in words and cells: Markdown, the terminal's table, headline sentences, what is missing."""

import html
import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from cifake_ray.data.datasets.card import Card
from cifake_ray.reporting import panels
from cifake_ray.reporting.certainty import study_gain
from cifake_ray.reporting.formatting import (
    NOTHING,
    Row,
    decimal,
    headline_test,
    interval,
    known,
    percent,
    rows_of,
    signed,
    whole,
)
from cifake_ray.reporting.limits import limits
from cifake_ray.reporting.load import ROLES, Study, cards_of, section, state_of
from cifake_ray.reporting.pareto import front_sentence, front_table
from cifake_ray.reporting.verdict import VERDICT_RULE


def _role(row: Row) -> str:
    return "reference (claim)" if row["role"] == "reference" else str(row["role"])


def _with_interval(value: Any, low: Any, high: Any) -> str:
    return f"{percent(value)} {interval(low, high)}".strip()


def accuracy_cells(row: Row) -> dict[str, str]:
    """What the row reached, as text cells."""
    return {
        "Study": str(row["study"]),
        "Model": str(row["model"]),
        "Role": _role(row),
        "Train %": _with_interval(row["train_accuracy"], row["train_low"], row["train_high"]),
        "Validation %": _with_interval(row["val_accuracy"], row["val_low"], row["val_high"]),
        "Gap, points": percent(row["gap"], 2),
        "Verdict": str(row["verdict"]),
        "Test %": _with_interval(headline_test(row), row["test_low"], row["test_high"]),
        "Gain, points": signed(row["gain"], row["gain_low"], row["gain_high"]),
        "Constant answer %": percent(row["constant_test"]),
        "Balanced %": percent(row["balanced_accuracy"]),
        "Test images": whole(row["test_images"]),
        "Test %, all images": percent(row["test_accuracy"]),
        "AUC": decimal(row["auc"]),
        "F1 (FAKE)": decimal(row["f1_fake"]),
        "ECE": decimal(row["ece"]),
    }


def cost_cells(row: Row) -> dict[str, str]:
    """What the row took and on what it was measured, as text cells."""
    return {
        "Study": str(row["study"]),
        "Role": _role(row),
        "Weights": str(row["weights"]),
        "Params trained / total": f"{whole(row['params_trained'])} / {whole(row['params_total'])}",
        "Trials run / stopped / failed": " / ".join(whole(row[key]) for key in ("trials", "stopped", "failed")),
        "Epochs": whole(row["epochs"]),
        "Seeds": whole(row["seeds"]),
        "Core-seconds": whole(row["core_seconds"]),
        "Data": str(row["data"]),
        "Note": str(row["note"]) if known(row["note"]) else "",
    }


def baseline_cells(row: Row) -> dict[str, str]:
    """A baseline in short: the model that its study's tuned one is compared with."""
    cells = accuracy_cells(row)
    names = ("Study", "Model", "Train %", "Validation %", "Verdict", "Test %", "Balanced %", "AUC")
    return {name: cells[name] for name in names}


def main_rows(frame: pd.DataFrame) -> list[Row]:
    """The rows of the table: one a study, then claims of others."""
    return [row for row in rows_of(frame) if row["role"] != "baseline"]


def baseline_rows(frame: pd.DataFrame) -> list[Row]:
    """The baselines that are another model than their study's tuned one."""
    return [row for row in rows_of(frame) if row["role"] == "baseline"]


def terminal_table(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """(columns, rows) of a compact table for the terminal; percent, test without duplicates of train images."""
    rows = []
    for row in main_rows(frame):
        cells = accuracy_cells(row)
        model = cells["Model"] + ("" if row["weights"] in ("none", "pretrained") else f" ({row['weights']})")
        kept = [cells[name] for name in ("Gap, points", "Verdict", "Test %", "Constant answer %", "Balanced %", "AUC",
                                         "Gain, points")]  # fmt: skip
        rows.append([cells["Study"], model, cells["Role"], percent(row["train_accuracy"]),
                     percent(row["val_accuracy"]), *kept, whole(row["core_seconds"])])  # fmt: skip
    columns = ["study", "model", "role", "train %", "val %", "gap", "verdict", "test % [95 %]", "constant %",
               "balanced %", "AUC", "gain, points", "core-s"]  # fmt: skip
    return columns, rows


def markdown(studies: Sequence[Study], frame: pd.DataFrame, found: Sequence[panels.Section] | None = None) -> str:
    """comparison.md: what was reached, what it took, the notes that make the numbers readable.

    found: the `sections` of these studies, where they are computed already.
    """
    rows, baselines = main_rows(frame), baseline_rows(frame)
    parts = [
        f"# {title(studies)}",
        "\n".join(f"- {_md(sentence)}" for sentence in headlines(studies, frame)),
        "## Accuracy",
        _pipe_table([accuracy_cells(row) for row in rows]),
        *(["### Baselines", _pipe_table([baseline_cells(row) for row in baselines])] if baselines else []),
        "## Cost and data",
        _pipe_table([cost_cells(row) for row in [*rows, *baselines] if row["role"] != "reference"]),
        "## How to read it",
        "\n".join(f"- {_md(note)}" for note in notes(studies, frame)),
    ]
    parts += fronts(studies)
    for heading, table, method in panels.sections(studies) if found is None else found:
        parts += [f"## {heading}", _pipe_table(table), _md(method)]
    parts += ["## Limits", "\n".join(f"- {_md(sentence)}" for sentence in limits(studies))]
    gaps = [f"- {_md(study.name)}: {_md(sentence)}" for study in studies for sentence in missing(study)]
    if gaps:
        parts += ["## What is missing", "\n".join(gaps)]
    return "\n\n".join(parts) + "\n"


def fronts(studies: Sequence[Study]) -> list[str]:
    """A section for each study with a Pareto front: what it is, and its trials."""
    parts = []
    for study in studies:
        if sentence := front_sentence(study):
            rows = [{name: _front_cell(name, row[name]) for name in row} for row in rows_of(front_table(study))]
            parts += [f"## Pareto front of {_md(study.name)}", _md(sentence), _pipe_table(rows)]
    return parts


def _front_cell(name: str, value: Any) -> str:
    if not known(value):
        return NOTHING
    if name == "val_accuracy":
        return percent(value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _pipe_table(rows: Sequence[dict[str, str]]) -> str:
    """A Markdown table whose columns also line up in a terminal."""
    names = list(rows[0])
    cells = [names, *[[_md(row[name]) for name in names] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(names))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in cells
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])


def _md(text: str) -> str:
    """Text that Markdown shows as it is: one line, no tag, no column of its own."""
    return re.sub(r"([|`*$\\])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def title(studies: Sequence[Study]) -> str:
    """What the report is about; a data set is named only where every study is on it."""
    cards = cards_of(studies)
    named = len(cards) == 1 and cards[0].title and not cards[0].generated
    return f"Detectors of AI-generated images{f' on {cards[0].title}' if named else ''}"


def headlines(studies: Sequence[Study], frame: pd.DataFrame) -> list[str]:
    """The result in plain sentences: the best tested model, then what tuning gained in each study."""
    best = best_row(frame)
    if best is None:
        sentences = ["No model has been tested yet; what follows are the accuracies of trials so far."]
    else:
        card = next(study.card for study in studies if study.name == best["study"])
        sentences = [_best_sentence(card, best), *_claim_sentences(card, best)]
    return sentences + [sentence for study in studies if (sentence := _gain_sentence(study))]


def best_row(frame: pd.DataFrame) -> Row | None:
    """The row of the best tested model, a baseline included; of the synthetic sample only where nothing else is."""
    measured = [row for row in rows_of(frame) if row["role"] != "reference"]
    tested = [row for row in measured if known(headline_test(row))]
    real = [row for row in tested if not row["generated"]]
    return max(real or tested, key=headline_test, default=None)


def _best_sentence(card: Card, row: Row) -> str:
    """The best model, on how many images of what, and what a constant answer reaches there."""
    sure = (
        f" (95 % interval {percent(row['test_low'])} to {percent(row['test_high'])})" if known(row["test_low"]) else ""
    )
    images = f"{whole(row['test_images'])} test images" if known(row["test_images"]) else "the test images"
    fresh = ", none of which is also in train" if known(row["test_accuracy_dedup"]) else ""
    what = card.note or f"data {row['data']}"
    constant = (
        f" One constant answer reaches {percent(row['constant_test'])} %, balanced accuracy is "
        f"{percent(row['balanced_accuracy'])} %, AUC {decimal(row['auc'])}."
        if known(row["constant_test"])
        else ""
    )
    odd = f" This model {row['verdict']}." if str(row["verdict"]).startswith("says") else ""
    odd = " This model orders images worse than chance." if row["verdict"] == "worse than chance" else odd
    return (
        f"Best test accuracy: {row['model']} of study {row['study']} ({row['role']}): {percent(headline_test(row))} %"
        f"{sure} on {images}{fresh} ({what}).{constant}{odd}"
    )


def _claim_sentences(card: Card, row: Row) -> list[str]:
    """How the best model stands to the claim on its data set's card, on all test images; nothing without a card."""
    if card.claim is None or card.claim.test_accuracy is None:
        return []
    claimed = card.claim.test_accuracy
    claim = f"The {card.claim.study} claims {percent(claimed)} % on all {card.images['test']:,} test images"
    if not row["whole_test"]:
        return [f"{claim}: not comparable with {whole(row['test_images_all'])} test images."]
    value, low, high = row["test_accuracy"], row["test_all_low"], row["test_all_high"]
    reached = f"{claim}; on these this model reaches {percent(value)} % {interval(low, high)}"
    if not known(low) or low <= claimed <= high:
        return [f"{reached}, an interval that contains the claim."]
    points = 100 * (value - claimed)
    return [f"{reached}, {abs(points):.2f} points {'above' if points > 0 else 'below'} the claim."]


def _gain_sentence(study: Study) -> str:
    """What tuning gained, between models that were retrained alike; empty before that."""
    if not study.dimensions:
        return f"{study.name}: one configuration was trained, nothing was searched."
    if not study.winner("tuned"):
        return ""
    if study.winner("tuned").get("trial_id") == 0:
        return f"{study.name}: no configuration did better than the hand-picked baseline."
    gained = study_gain(study)
    if gained is None:
        return ""
    word = "gained" if gained.value >= 0 else "lost"
    chance = ", so this may be chance" if gained.low <= 0 <= gained.high else ""
    return (
        f"{study.name}: tuning {word} {abs(100 * gained.value):.2f} points of test accuracy over the baseline; 95 % "
        f"interval of the gain {100 * gained.low:+.2f} to {100 * gained.high:+.2f}{chance}."
    )


def notes(studies: Sequence[Study], frame: pd.DataFrame) -> list[str]:
    """What a reader must know to read the table."""
    found = [
        "Test % is the headline: the mean over seeds on test images that are not exact duplicates of train images; "
        "gain, constant answer, balanced accuracy, AUC, F1 (positive class FAKE) and ECE belong to the same images. "
        "Beside it, the accuracy on all test images. Rows are sorted by Test %. The best model on top is that of the "
        "highest Test %; rows on the synthetic sample compete only where no study on other images is tested.",
        "Constant answer: share of the larger class of the test images, which a model reaches that gives one answer to "
        "everything. Balanced: mean of the shares of FAKE and of REAL images that are judged rightly.",
        "Gain: what tuning added to the test accuracy of the study's baseline, which was retrained with the same "
        "epochs and seeds; a dash where the baseline is the tuned model, or nothing was searched.",
        "Intervals are 95 %. Training and validation: Wilson score intervals over images (training accuracy is "
        "measured on at most 10,000 of them). They cover the choice of images, not the choice of seeds. "
        + " ".join(f"Test: {text}." for text in _methods(studies)),
        f"Verdict. {VERDICT_RULE}",
        "Core-seconds: CPU time of all trials of the study for the tuned model, of its own trial for the baseline; "
        "feature extraction (empty where the cache had them from an earlier study) and the retraining of winners are "
        "apart, in comparison.csv.",
    ]
    if (frame["role"] == "reference").any():
        found += [
            f"Rows with the role reference are claims of others about {card.title}, repeated as published and not "
            f"measured here: {card.claims}."
            for card in cards_of(studies)
            if card.claims
        ]
    return found + _warnings(studies, frame)


def short_notes(studies: Sequence[Study], frame: pd.DataFrame) -> list[str]:
    """What a reader of the table in a terminal must know at least."""
    found = [
        "Test %: mean over seeds, without test images that equal a train image; intervals 95 %. Gap: train % minus "
        "val %, in points. Core-s: CPU seconds of all trials, without feature extraction and retraining."
    ]
    if (frame["role"] == "reference").any():
        found.append("Reference rows are claims of others, not measured here.")
    return found + _warnings(studies, frame)


def _warnings(studies: Sequence[Study], frame: pd.DataFrame) -> list[str]:
    """What forbids reading some rows as results."""
    found = []
    for card in cards_of(studies):
        if card.note:
            named = ", ".join(study.name for study in studies if study.card is card)
            found.append(f"{named}: {card.note}.")
    if (frame["weights"] == "random").any():
        found.append("Rows with random weights use an untrained backbone: they say nothing about pretrained ones.")
    if len({study.data["fingerprint"] for study in studies if study.data.get("fingerprint")}) > 1:
        found.append("The studies did not use the same images: compare rows of one data set only.")
    return found


def _methods(studies: Sequence[Study]) -> list[str]:
    """How evaluation made its intervals, in its own words, each once."""
    return list(dict.fromkeys(str(study.test["method"]).rstrip(".") for study in studies if study.test.get("method")))


def missing(study: Study) -> list[str]:
    """Plain sentences on what a half-finished run does not have yet; empty for a complete one."""
    counts, found = study.counts(), []
    if study.trials.empty:
        found.append("No trial has been recorded yet.")
    elif state_of(study) == "failed":
        found.append(f"All {counts['failed']} trials failed; the trial table gives the reasons.")
    if counts["running"]:
        found.append(f"Trials marked as running: {counts['running']}; the numbers are those so far.")
    if counts["interrupted"]:
        found.append(
            f"Trials interrupted: {counts['interrupted']}; `cifake-ray tune --resume {study.name}` continues them."
        )
    if len(study.trials) and study.curves.empty:
        found.append("There are no learning curves (curves.csv is missing or empty).")
    if not study.environment:
        found.append(
            "environment.json is missing: data, versions and hardware are not recorded, intervals are left out."
        )
    return found + _missing_test(study)


def _missing_test(study: Study) -> list[str]:
    found = [] if study.retested else ["A newer retraining is not tested yet; the test scores are the older ones."]
    if study.stored is None and any(section(study.winner(role), "mean", "test") for role in ROLES):
        found.append("test_predictions.npz is missing: test scores are those noted in test.json, not computed again.")
    for role in ROLES:
        if reasons := study.winner(role).get("failed"):
            found.append(f"Retrainings of the {role} model that failed: {len(reasons)} ({reasons[0]}).")
    tested = [role for role in ROLES if section(study.winner(role), "mean", "test")]
    if len(tested) == len(ROLES) or (study.ranked().empty and not study.winner("tuned")):
        return found
    if study.experiment.search.winner_seeds == 0:
        return [*found, "search.winner_seeds is 0: nothing was retrained, and the baseline is not tested."]
    if any(study.winner(role) for role in ROLES):
        return [*found, "Not every winner has been tested yet; cifake-ray evaluate does it."]
    return [
        *found,
        "Winner and baseline have not been retrained and tested yet; accuracies are those of single trials.",
    ]

"""What a reader must know to read the comparison."""

from collections.abc import Sequence

import pandas as pd

from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.load import Study, cards_of
from cifake_ray.reporting.section import Section
from cifake_ray.reporting.verdict import VERDICT_RULE


def build(studies: Sequence[Study]) -> Section:
    """How each column is measured; in short for the terminal."""
    frame = comparison_table(studies)
    return Section("How to read it", notes(studies, frame), look="list", minor=True, brief=short_notes(studies, frame))


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
    unfinished = list(frame.loc[frame["role"] == "unfinished", "study"])
    found = [
        f"{name}: the study is unfinished, and its row is one trial so far; `cifake-ray tune --resume {name}` goes on."
        for name in unfinished
    ]
    for card in cards_of(studies):
        if card.note:
            named = ", ".join(study.name for study in studies if study.card is card)
            found.append(f"{named}: {card.note}.")
    if any("random" in str(weights).split("+") for weights in frame["weights"]):
        found.append("Rows with random weights use an untrained backbone: they say nothing about pretrained ones.")
    if len({study.records.environment.data.fingerprint for study in studies} - {None, ""}) > 1:
        found.append("The studies did not use the same images: compare rows of one data set only.")
    return found


def _methods(studies: Sequence[Study]) -> list[str]:
    """How evaluation made its intervals, in its own words, each once."""
    return list(dict.fromkeys(method.rstrip(".") for study in studies if (method := study.records.test.method)))

"""What stands beside the comparison, as tables of text cells: how sure it is, what mattered, other images, errors."""

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np

from cifake_ray.reporting.certainty import (
    GAIN_METHOD,
    MCNEMAR_METHOD,
    NOISE_METHOD,
    Certainty,
    Pair,
    certainty,
    mcnemar_pairs,
)
from cifake_ray.reporting.formatting import NOTHING, decimal, interval, known, percent, whole
from cifake_ray.reporting.importance import METHOD as IMPORTANCE_METHOD
from cifake_ray.reporting.importance import importances
from cifake_ray.reporting.load import Study, section
from cifake_ray.runs.run import LABELS, Run
from cifake_ray.stats.classification import confusion
from cifake_ray.stats.intervals import Interval

_SUBJECTS = ("left out", "seen")  # kinds of rows
Cells = dict[str, str]
Section = tuple[str, list[Cells], str]  # title, table, how to read it

ROBUSTNESS_METHOD = (
    "Accuracy with its 95 % Wilson interval, and AUC, of the model in best/ (the seed of median validation "
    "accuracy) on test images without duplicates, called FAKE above probability 0.5 unless marked. Columns on other "
    "numbers of images are other images. JPEG and scaling by Pillow, blur by a sampled Gaussian, noise on the scale "
    "0 to 1."
)
SUBJECTS_METHOD = "Test images as they are, of subjects that no training image shows, and of the other subjects."
OTHER_METHOD = "Labelled images from elsewhere, judged by the model in best/; FAKE above probability 0.5 unless marked."


def sections(studies: Sequence[Study]) -> list[Section]:
    """What stands beside the comparison, as far as there is any."""
    found = (
        ("How sure", certainty_table(studies), f"{GAIN_METHOD} {NOISE_METHOD}"),
        ("Winners against each other", mcnemar_table(studies), MCNEMAR_METHOD),
        ("What mattered in the search", importance_table(studies), IMPORTANCE_METHOD),
        ("Degraded test images", robustness_table(studies), ROBUSTNESS_METHOD),
        ("Subjects left out of training", subjects_table(studies), SUBJECTS_METHOD),
        ("Other images", evaluations_table(studies), OTHER_METHOD),
        ("Other images, degraded", others_degraded_table(studies), ROBUSTNESS_METHOD),
    )
    return [section for section in found if section[1]]


def certainty_table(studies: Sequence[Study]) -> list[Cells]:
    """A row for each study that is retrained."""
    return [_certainty(found) for study in studies if known((found := certainty(study)).retrained)]


def _certainty(found: Certainty) -> Cells:
    return {
        "Study": found.study,
        "Test % of each seed": ", ".join(map(percent, found.seeds)) or NOTHING,
        "Spread over seeds, points": percent(found.deviation) if known(found.deviation) else NOTHING,
        "Gain over the baseline, points": _points(found.gain) if found.gain else NOTHING,
        "Best validation % in the search": percent(found.searched),
        "Validation % retrained": percent(found.retrained),
        "Selection noise, points": _signed(found.noise),
    }


def mcnemar_table(studies: Sequence[Study]) -> list[Cells]:
    """A row for every two studies tested on the same images."""
    return [_pair(pair) for pair in mcnemar_pairs(studies)]


def _pair(pair: Pair) -> Cells:
    return {
        "First": pair.first,
        "Second": pair.second,
        "Only first right": whole(pair.only_first),
        "Only second right": whole(pair.only_second),
        "Difference, points": _points(pair.difference),
        "p": _p(pair.p),
        "p, Holm": _p(pair.p_holm),
    }


def _points(value: Interval) -> str:
    return f"{_signed(value.value)} {interval(value.low, value.high)}"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f}" if known(value) else NOTHING


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def importance_table(studies: Sequence[Study]) -> list[Cells]:
    """A row for each study with enough trials for it."""
    rows: list[Cells] = []
    for study in studies:
        if shares := importances(study):
            rows.append({"Study": study.name, "Importance, %": shares_text(shares)})
    return rows


def shares_text(shares: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent(share, 0)}" for name, share in shares.items())


def robustness_table(studies: Sequence[Study]) -> list[Cells]:
    """A row for each degradation, a column for each study: accuracy, interval and AUC."""
    return _degraded({study.name: study.robustness for study in studies}, of_subjects=False)


def subjects_table(studies: Sequence[Study]) -> list[Cells]:
    """The same for subjects that were left out of training, and the other subjects."""
    return _degraded({study.name: study.robustness for study in studies}, of_subjects=True)


def others_degraded_table(studies: Sequence[Study]) -> list[Cells]:
    """The same for other sets of images, a column for each study and set."""
    return _degraded(
        {f"{study.name} on {_set_name(noted)}": noted.get("robustness") or {}
         for study in studies for noted in study.evaluations},
        of_subjects=False,
    )  # fmt: skip


def _degraded(measured: dict[str, dict[str, Any]], *, of_subjects: bool) -> list[Cells]:
    found = {}
    for name, noted in measured.items():
        rows = {row["name"]: row for row in noted.get("rows") or [] if (row["kind"] in _SUBJECTS) == of_subjects}
        if rows:
            found[f"{name} ({whole(noted.get('test_images'))} images{_threshold(noted)})"] = rows
    names = dict.fromkeys(name for rows in found.values() for name in rows)
    return [
        {"Test images": name}
        | {study: _scores(rows[name]) if name in rows else NOTHING for study, rows in found.items()}
        for name in names
    ]


def _threshold(noted: dict[str, Any]) -> str:
    """Says which threshold gave figures of version 0.1 that were not measured at probability 0.5."""
    value = section(noted, "threshold").get("value", 0.5)
    return "" if value == 0.5 else f", at the threshold {value:.3f} of version 0.1"


def _scores(row: dict[str, Any]) -> str:
    accuracy = row["accuracy"]
    measured = f"{percent(accuracy['value'])} {interval(accuracy['low'], accuracy['high'])}"
    return f"{measured}, AUC {decimal(row['auc'])}" if row["auc"] is not None else measured


def unmeasured(studies: Sequence[Study]) -> list[str]:
    """Tested studies whose degraded images are not measured."""
    return [study.name for study in studies if study.winner("tuned") and not study.robustness.get("rows")]


def evaluations_table(studies: Sequence[Study]) -> list[Cells]:
    """A row for each study and other set of images: scores at the threshold fixed on the study's validation images."""
    return [
        {
            "Study": study.name,
            "Images": _set_name(noted),
            "Number": whole(noted["at_threshold"]["images"]),
            "Accuracy %": _scores(noted["at_threshold"] | {"auc": None}),
            "AUC": decimal(noted["at_threshold"]["auc"]),
            **{f"{label} judged rightly %": percent(noted["at_threshold"][f"recognised_{label}"]) for label in LABELS},
        }
        for study in studies
        for noted in study.evaluations
        if noted.get("at_threshold")
    ]


def _set_name(noted: dict[str, Any]) -> str:
    return str(noted.get("data", "?")).rstrip("/").rpartition("/")[2]


def confusion_table(study: Study) -> list[Cells]:
    """Images of each class by what the winner called them, mean over seeds; [] before the test."""
    if study.predictions is None or not study.predictions.p_fake.get("tuned"):
        return []
    seeds = study.predictions.p_fake["tuned"].values()
    counts = np.mean([confusion(study.predictions.labels, p_fake) for p_fake in seeds], axis=0)
    return [
        {"Image": label}
        | {f"called {called}": f"{percent(count / max(row.sum(), 1))} % ({whole(count)})"
           for called, count in zip(LABELS, row, strict=True)}
        for label, row in zip(LABELS, counts, strict=True)
    ]  # fmt: skip


def gallery(study: Study) -> list[dict[str, str]]:
    """The test images that the winner gets most wrong: `image` and `overlay` as data addresses, `caption`."""
    folder = Run(study.path).explanations
    found = []
    for entry in study.explanations.get("images") or []:
        files = [folder / str(entry[key]) for key in ("image", "overlay")]
        if not all(file.is_file() for file in files):
            continue
        said = "REAL" if entry["label"] == "FAKE" else "FAKE"
        sure = entry["p_fake"] if said == "FAKE" else 1 - entry["p_fake"]
        subject = f" {entry['subject']}" if entry.get("subject") else ""
        addresses = ["data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() for file in files]
        caption = f"{entry['label']}{subject}, called {said} with {percent(sure, 1)} %"
        found.append({"image": addresses[0], "overlay": addresses[1], "caption": caption})
    return found

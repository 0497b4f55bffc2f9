"""What the winner of a study gets wrong: the confusion matrix, and its largest errors as pictures."""

import base64

import numpy as np

from cifake_ray.reporting.formatting import percent, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Picture, Section, Table
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.run import Run
from cifake_ray.stats.classification import confusion

_TITLE = "The winner's largest errors"
_GALLERY = (
    "The most confident errors on test images without duplicates, by the model in best/; beside each, bright is what "
    "spoke for its answer."
)
_NOT_DRAWN = "The winner's largest errors are not drawn yet: `cifake-ray evaluate RUN --explain` does it."


def matrix(study: Study) -> Section | None:
    """A row for each class, a column for each answer."""
    method = "Without duplicates of train images, at probability 0.5, mean over seeds."
    rows = _confusion_rows(study)
    return Section("Confusion matrix", tables=(Table(rows),), method=method) if rows else None


def largest(study: Study) -> Section | None:
    """The pictures, or which command draws them."""
    if pictures := _pictures(study):
        method = f"{_GALLERY} {study.records.explanations.method}."
        return Section(_TITLE, pictures=pictures, method=method, shows_images=True)
    if study.outcome("tuned") and study.records.explanations.empty:
        return Section(remarks=(_NOT_DRAWN,), shows_images=True)
    return None


def _confusion_rows(study: Study) -> list[dict[str, str]]:
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


def _pictures(study: Study) -> list[Picture]:
    """The test images that the winner gets most wrong."""
    folder = Run(study.path).explanations
    found = []
    for entry in study.records.explanations.images:
        files = [folder / entry.image, folder / entry.overlay]
        if not all(file.is_file() for file in files):
            continue
        said = "REAL" if entry.label == "FAKE" else "FAKE"
        sure = entry.p_fake if said == "FAKE" else 1 - entry.p_fake
        subject = f" {entry.subject}" if entry.subject else ""
        addresses = ["data:image/png;base64," + base64.b64encode(file.read_bytes()).decode() for file in files]
        caption = f"{entry.label}{subject}, called {said} with {percent(sure, 1)} %"
        found.append(Picture(addresses[0], addresses[1], caption))
    return found

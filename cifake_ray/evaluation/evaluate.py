"""A run's best model on its own test images again, or on other labelled ones, which are noted in the run."""

import hashlib
import re
from pathlib import PurePath
from typing import Any

from cifake_ray.console import progress
from cifake_ray.data import copies_among, load_labelled
from cifake_ray.evaluation.detector import load_detector
from cifake_ray.evaluation.metrics import METHOD, score_seeds
from cifake_ray.evaluation.score import open_run_images
from cifake_ray.evaluation.threshold import fixed_threshold, scores_at
from cifake_ray.run import Run, write_json, writing


def evaluate_run(run: Run, source: str | None = None) -> dict[str, Any]:
    """Score `best/` on the test part of its own images (nothing is written), or on other labelled images.

    The latter is written to `evaluations/<name>.json`, with the scores at the threshold that validation fixed. Copies
    of the images that the model was trained on are left out of `test_dedup`. Raises InputError when images, weights or
    the model are not to be had.
    """
    detector = load_detector(run)
    own = open_run_images(run, run.experiment())
    part, about = own.test, {"data": own.source, "generated": own.generated, "converted": own.converted}
    if source is not None:
        with progress("decoding images") as update:
            other = load_labelled(source, progress=update)
        part = other.images
        about = {"data": other.source, "generated": other.generated, "converted": other.converted}
    with progress("features of the test part") as update:
        p_fake = detector.p_fake_of_part(part, update)
    fresh = ~copies_among(part, own.train)
    result: dict[str, Any] = {
        "run": run.where,
        **about,
        "test_images": len(p_fake),
        "test": score_seeds(part.labels, [p_fake])[1],
        "test_dedup": score_seeds(part.labels[fresh], [p_fake[fresh]])[1],
        "duplicates_removed": int((~fresh).sum()),
        "weights": detector.weights.name if detector.weights else "none",
        "method": METHOD,
    }
    if source is None:
        return result
    with writing(run):
        result["threshold"] = fixed_threshold(run, detector, own)
        threshold = float(result["threshold"]["value"])
        result["at_threshold"] = scores_at(part.labels[fresh], p_fake[fresh], threshold)
        note_evaluation(run, source, result)
    return result


def note_evaluation(run: Run, source: str, result: dict[str, Any]) -> None:
    """Put `result` into the run's note on this source, beside what it holds already; by the run's writer."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", PurePath(source).name).strip("-.") or "images"
    run.evaluations.mkdir(exist_ok=True)
    file = run.evaluations / f"{name}.json"
    if run.read_json(file).get("data") not in (None, source):  # another folder of that name
        file = run.evaluations / f"{name}-{hashlib.sha256(source.encode()).hexdigest()[:6]}.json"
    noted = run.read_json(file)
    write_json(file, {"schema": 1} | noted | {"data": source} | result)
    run.push()

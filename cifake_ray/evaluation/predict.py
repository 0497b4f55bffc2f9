"""What a trained detector says of a user's own image files."""

from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.data import load_image_file
from cifake_ray.evaluation.detector import load_detector
from cifake_ray.run import Run


def predict_files(run: Run, files: list[Path]) -> list[dict[str, Any]]:
    """For each file: `file`, `label`, `p_fake` and `remarks` (how it differs from a 32 px CIFAKE image).

    Raises InputError for the first file that is no readable image.
    """
    detector = load_detector(run)
    generated = bool(run.read_json(run.environment_file).get("data", {}).get("generated"))
    loaded = [load_image_file(file) for file in files]
    p_fake = detector.p_fake(np.stack([pixels for pixels, _ in loaded]))
    trained_on = ["the detector was trained on the generated sample, not on CIFAKE"] if generated else []
    return [
        {
            "file": str(file),
            "label": "FAKE" if probability > 0.5 else "REAL",
            "p_fake": round(float(probability), 6),
            "remarks": [*converted, *trained_on],
        }
        for file, probability, (_, converted) in zip(files, p_fake, loaded, strict=True)
    ]

"""The test images that a detector gets most wrong, and where in them its answer comes from; pictures for a report."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from cifake_ray.data import ImageSet, Part, run_images, train_duplicates
from cifake_ray.data.streaming import squares_of
from cifake_ray.detector.load import load_detector
from cifake_ray.detector.module import Detector, use_all_cores
from cifake_ray.evaluation.saliency import class_activation_maps, method_of
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.records import SCHEMA, Explained, Explanations
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run

SHOWN = 8  # images of each label
SIDE = 128  # pixels of a picture: four for each pixel of an image of 32
_OPAQUE = 0.6  # of the colours over the image
# Three points of matplotlib's "inferno" (CC0), RGB: dark where nothing counts, bright where most does.
_COLOURS = np.array([[0, 0, 4], [188, 55, 84], [252, 255, 164]], np.float32)


def explain_run(run: Run, source: str | None = None) -> Explanations:
    """Write `explain/`: of each label the test images whose probability is furthest on the wrong side, and overlays.

    source: where the run's own images are now. Raises InputError when images, weights or the model cannot be found.
    """
    use_all_cores()
    with run.update():
        detector = load_detector(run)
        images = run_images(run, run.experiment(), source)
        p_fake = detector.p_fake_of_part(images.test)
        return explain(run, detector, images, p_fake)


def explain(run: Run, detector: Detector, images: ImageSet, p_fake: np.ndarray) -> Explanations:
    """As `explain_run`, by the run's writer. p_fake: float [n] of the test images."""
    test, fresh = images.test, ~train_duplicates(images)
    chosen = most_wrong(test.labels, p_fake, fresh)
    seen = [_centre_squares(member, test, chosen) for member, _ in detector.members]
    pixels, maps = seen[0], class_activation_maps(detector, seen[0], p_fake[chosen] > 0.5, *seen[1:])
    groups = {column: (test.table.group_values(column), codes) for column, codes in test.table.groups.items()}
    run.remove(run.explanations.name)
    run.explanations.mkdir()
    entries: list[Explained] = []
    for number, position in enumerate(chosen.tolist()):
        entry = Explained(
            name=str(test.table.names[position]),
            label=LABELS[test.labels[position]],
            image=f"{number:02d}-image.png",
            overlay=f"{number:02d}-overlay.png",
            p_fake=round(float(p_fake[position]), 6),
            **{column: values[codes[position]] for column, (values, codes) in groups.items()},
        )
        large = _shown(pixels[number])
        _write_png(run.explanations / entry.image, large)
        _write_png(run.explanations / entry.overlay, overlay(large, maps[number]))
        entries.append(entry)
    noted = Explanations(schema_version=SCHEMA, method=method_of(detector), images=entries)
    write_record(run.explanations_file, noted)
    return noted


def _centre_squares(detector: Detector, part: Part, rows: np.ndarray) -> np.ndarray:
    """The squares that the detector sees at the first look, uint8 [n, s, s, 3]."""
    squares = torch.from_numpy(squares_of(part, rows, detector.transform))
    return np.asarray(detector.centre_squares(squares))


def most_wrong(labels: np.ndarray, p_fake: np.ndarray, fresh: np.ndarray, count: int = SHOWN) -> np.ndarray:
    """Positions of up to `count` misjudged images of each label, the most confident error first: int64."""
    wrong = ((p_fake > 0.5) != (labels == 0)) & fresh
    chosen = []
    for label, confidence in ((0, 1 - p_fake), (1, p_fake)):
        candidates = np.flatnonzero(wrong & (labels == label))
        chosen.append(candidates[np.argsort(-confidence[candidates], kind="stable")][:count])
    return np.concatenate(chosen)


def overlay(image: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """image: uint8 [s, s, 3]; strength: float [h, w], 0..1, enlarged bilinearly -> uint8 [s, s, 3].

    The image in grey under the colours. The root of the strength is drawn: a few positions count most, and the rest
    would be black.
    """
    side = image.shape[0]
    heat = Image.fromarray(np.uint8(255 * np.sqrt(strength))).resize((side, side), Image.Resampling.BILINEAR)
    values = np.asarray(heat, np.float32) / 255
    colours = np.stack([np.interp(values, (0, 0.5, 1), _COLOURS[:, channel]) for channel in range(3)], axis=-1)
    grey = image.mean(axis=2, keepdims=True)
    mixed: np.ndarray = np.rint(grey * (1 - _OPAQUE) + colours * _OPAQUE).astype(np.uint8)
    return mixed


def _shown(image: np.ndarray) -> np.ndarray:
    """uint8 [SIDE, SIDE, 3]: a smaller image with its pixels visible, a larger one reduced."""
    way = Image.Resampling.NEAREST if len(image) < SIDE else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), way))


def _write_png(file: Path, pixels: np.ndarray) -> None:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    write_bytes(file, stream.getvalue())

"""Load and save a detector: one safetensors and one JSON file."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import NOTE_FILE, WEIGHTS_FILE, damaged, read_model_note
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Model
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.runs.columns import LABELS, POSITIVE
from cifake_ray.runs.files import write_json
from cifake_ray.runs.run import Run
from cifake_ray.training.checkpoint import load_checkpoint, save_checkpoint


def detector_from_checkpoint(file: Path, experiment: Experiment) -> Detector:
    """The network in a trial's `best` checkpoint, for the model section of its experiment. Raises InputError."""
    stored = load_checkpoint(file)
    if stored is None:
        raise InputError(f"{file}: no readable checkpoint; retrain with `cifake-ray tune --resume`")
    tensors = {name.removeprefix("model."): tensor for name, tensor in stored[0].items()}
    return _build(experiment.model, tensors, None, file)


def _build(model: Model, tensors: dict[str, Tensor], noted: Mapping[str, Any] | None, file: Path) -> Detector:
    family = family_of(model)
    network = family.build(model)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file}: not the tensors of a {model.kind} of these settings; train it again") from error
    return Detector(model, network.to(memory_format=torch.channels_last), family.noted_weights(model, noted))


def save_detector(detector: Detector, folder: Path, note: dict[str, Any]) -> None:
    """Write `model.safetensors` and `model.json`. Frozen models store the head and name the backbone."""
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / WEIGHTS_FILE, detector.network.state_dict(), {})
    described = {
        "schema": 1,
        "model": detector.model.model_dump(mode="json"),
        "backbone": family_of(detector.model).describe(detector.model, detector.weights),
        "input": "RGB, 32 x 32 pixels, 0..255",
        "labels": list(LABELS),
        "positive_class": POSITIVE,
        "sha256": _sha256(folder / WEIGHTS_FILE),
    }
    write_json(folder / NOTE_FILE, described | note)


def load_detector(run: Run) -> Detector:
    """The run's `best/`. Raises InputError when it is missing or damaged, or its backbone weights cannot be found."""
    note, model = read_model_note(run)
    file = run.best / WEIGHTS_FILE
    stored = load_checkpoint(file)
    if stored is None or note.get("sha256") not in (None, _sha256(file)):  # version 0.1 noted none
        raise InputError(damaged(run, f"{file} is damaged"))
    if not all(tensor.isfinite().all() for tensor in stored[0].values()):
        raise InputError(damaged(run, f"{file} holds values that are no numbers"))
    return _build(model, stored[0], note.get("backbone"), file)


def _sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parameter_counts(detector: Detector) -> tuple[int, int]:
    """Parameters trained, and in the whole detector (with the frozen backbone up to its last stage used)."""
    trained, held = (count_parameters(detector.network, trained=trained) for trained in (True, False))
    return trained, held + family_of(detector.model).frozen_parameters(detector.model)

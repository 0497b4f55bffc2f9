"""Load and save a detector: one safetensors and one JSON file."""

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import NOTE_FILE, WEIGHTS_FILE, damaged, read_model_note
from cifake_ray.errors import InputError
from cifake_ray.experiment import BackboneModel, Experiment, Model
from cifake_ray.models.registry import (
    backbone_parameters,
    build_network,
    count_parameters,
)
from cifake_ray.models.weights import Weights, resolve_weights
from cifake_ray.runs.files import write_record
from cifake_ray.runs.records import SCHEMA, BackboneNote, ModelNote
from cifake_ray.runs.run import LABELS, POSITIVE, Run
from cifake_ray.training.checkpoint import load_checkpoint, save_checkpoint


def detector_from_checkpoint(file: Path, experiment: Experiment) -> Detector:
    """The network in a trial's `best` checkpoint, for the model section of its experiment. Raises InputError."""
    stored = load_checkpoint(file)
    if stored is None:
        raise InputError(f"{file}: no readable checkpoint; retrain with `cifake-ray tune --resume`")
    tensors = {name.removeprefix("model."): tensor for name, tensor in stored[0].items()}
    return _build(experiment.model, tensors, None, file)


def _build(model: Model, tensors: dict[str, Tensor], noted: BackboneNote | None, file: Path) -> Detector:
    network = build_network(model)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file}: not the tensors of a {model.kind} of these settings; train it again") from error
    return Detector(model, network.to(memory_format=torch.channels_last), _backbone_weights(model, noted))


def _backbone_weights(model: Model, noted: BackboneNote | None) -> Weights | None:
    """The frozen backbone's weights, as `noted` in model.json; of a fine-tuned one, whose tensors are stored, the note.

    Raises InputError when they cannot be found, or when the head was trained on others.
    """
    if not isinstance(model, BackboneModel):
        return None
    if noted is not None and not model.frozen:
        return Weights(noted.weights, noted.sha256, (), noted.licence, None, model.kind)
    weights = resolve_weights(model.kind, model.weights, model.stages)
    if noted is not None and noted.sha256 != weights.sha256:
        raise InputError(
            f"backbone weights {model.weights}: found a file with SHA-256 {weights.sha256[:12]}…, but the head was "
            f"trained on {noted.sha256[:12]}…; put that file into the folder that CIFAKE_RAY_WEIGHTS names"
        )
    return weights


def describe_detector(detector: Detector) -> ModelNote:
    """What model.json says of a detector, whatever it was trained on."""
    return ModelNote(
        schema_version=SCHEMA,
        model=detector.model,
        backbone=_describe_backbone(detector),
        input="RGB, 32 x 32 pixels, 0..255",
        labels=list(LABELS),
        positive_class=POSITIVE,
    )


def _describe_backbone(detector: Detector) -> BackboneNote | None:
    weights, model = detector.weights, detector.model
    if weights is None or not isinstance(model, BackboneModel):
        return None
    return BackboneNote(
        weights=weights.name,
        sha256=weights.sha256,
        licence=weights.licence,
        image_size=list(model.sizes) if len(model.sizes) > 1 else model.sizes[0],
        stages=list(model.stages),
        pool=list(model.pool),
        views=list(model.views),
        normalisation="imagenet",
    )


def save_detector(detector: Detector, folder: Path, note: ModelNote | None = None) -> None:
    """Write `model.safetensors` and `model.json`. Frozen models store the head and name the backbone.

    note: `describe_detector` with what is known of the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / WEIGHTS_FILE, detector.network.state_dict(), {})
    noted = note or describe_detector(detector)
    noted.sha256 = _sha256(folder / WEIGHTS_FILE)
    write_record(folder / NOTE_FILE, noted)


def load_detector(run: Run) -> Detector:
    """The run's `best/`. Raises InputError when it is missing or damaged, or its backbone weights cannot be found."""
    note = read_model_note(run)
    file = run.best / WEIGHTS_FILE
    stored = load_checkpoint(file)
    if stored is None or note.sha256 not in (None, _sha256(file)):  # version 0.1 noted none
        raise InputError(damaged(run, f"{file} is damaged"))
    if not all(tensor.isfinite().all() for tensor in stored[0].values()):
        raise InputError(damaged(run, f"{file} holds values that are no numbers"))
    return _build(note.model, stored[0], note.backbone, file)


def _sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parameter_counts(detector: Detector) -> tuple[int, int]:
    """Parameters trained, and in the whole detector (with the frozen backbone up to its last stage used)."""
    trained, held = (count_parameters(detector.network, trained=trained) for trained in (True, False))
    model = detector.model
    return trained, held + (backbone_parameters(model) if isinstance(model, BackboneModel) and model.frozen else 0)

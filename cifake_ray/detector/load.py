"""Load and save a detector: one safetensors and one JSON file."""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cifake_ray.data.transform import Transform, note_of, noted_transform
from cifake_ray.detector.blend import Blend
from cifake_ray.detector.module import Detector
from cifake_ray.detector.note import NOTE_FILE, WEIGHTS_FILE, damaged, read_model_note
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Model, Neutral
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.runs.columns import LABELS, POSITIVE
from cifake_ray.runs.records import SCHEMA, BackboneNote, ModelNote
from cifake_ray.runs.records.store import write_record
from cifake_ray.runs.run import Run
from cifake_ray.runs.trust import run_model
from cifake_ray.training.checkpoint import load_checkpoint, save_checkpoint


def detector_from_checkpoint(file: Path, experiment: Experiment, transform: Transform) -> Detector:
    """The network in a trial's `best` checkpoint, for the model section of its experiment.

    transform: of the trial's pictures. Raises InputError.
    """
    stored = load_checkpoint(file)
    if stored is None:
        raise InputError(f"{file}: no readable checkpoint", "retrain with `cifake-ray tune --resume`")
    tensors = {name.removeprefix("model."): tensor for name, tensor in stored[0].items()}
    return _build(experiment.model, transform, experiment.data.neutral, tensors, [], file)


def _build(
    model: Model,
    transform: Transform,
    neutral: Neutral | None,
    tensors: dict[str, Tensor],
    noted: Sequence[BackboneNote],
    file: Path,
) -> Detector:
    family = family_of(model)
    network = family.build(model)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{file}: not the tensors of a {model.kind} of these settings", "train it again") from error
    weights = family.noted_weights(model, noted)
    return Detector(model, network.to(memory_format=torch.channels_last), weights, transform, neutral)


def describe_detector(detector: Detector) -> ModelNote:
    """The note of a detector for model.json, without facts of the training."""
    transform = detector.transform
    notes = family_of(detector.model).describe(detector.model, detector.weights)
    noted = ModelNote(
        schema_version=SCHEMA,
        model=type(detector.model).model_validate(detector.model.model_dump()),  # every key counts as set
        backbone=notes[0] if len(notes) == 1 else None,
        input=_input_words(transform),
        transform=note_of(transform, detector.neutral),
        labels=list(LABELS),
        positive_class=POSITIVE,
    )
    if len(notes) > 1:
        noted.backbones = notes
    return noted


def _input_words(transform: Transform) -> str:
    """`RGB, centred crop of 224 x 224 native pixels, 0..255`; of pictures held in one small size their size alone."""
    seen = transform.words if transform.native else f"{transform.side} x {transform.side} pixels"
    return f"RGB, {seen}, 0..255"


def save_detector(detector: Detector, folder: Path, note: ModelNote | None = None) -> None:
    """Write `model.safetensors` and `model.json`. Frozen models store the head and name the backbone.

    note: `describe_detector`, extended by facts of the training.
    """
    folder.mkdir(parents=True, exist_ok=True)
    save_checkpoint(folder / WEIGHTS_FILE, detector.tensors, {})
    noted = note or describe_detector(detector)
    noted.sha256 = file_sha256(folder / WEIGHTS_FILE)
    write_record(folder / NOTE_FILE, noted)


def load_detector(run: Run) -> Detector:
    """The detector in the run's `best/`.

    Raises InputError: missing, damaged, backbone weights not found, a Python file that may not be run.
    """
    note = read_model_note(run)
    file = run.best / WEIGHTS_FILE
    stored = load_checkpoint(file)
    if stored is None or note.sha256 not in (None, file_sha256(file)):  # version 0.1 recorded none
        raise damaged(run, f"{file} is damaged")
    if not all(tensor.isfinite().all() for tensor in stored[0].values()):
        raise damaged(run, f"{file} holds values that are no numbers")
    if not note.members:
        return _noted(run, note, stored[0], file)
    members = []
    for at, member in enumerate(note.members):
        begin = f"{at}."
        own = {name.removeprefix(begin): one for name, one in stored[0].items() if name.startswith(begin)}
        members.append((_noted(run, member.note, own, file), member.weight))
    return Blend(members)


def _noted(run: Run, note: ModelNote, tensors: dict[str, Tensor], file: Path) -> Detector:
    """The detector of these tensors, as its note says."""
    transform = dataclasses.replace(noted_transform(note.transform), neutral=None)  # which the pictures of a part have
    return _build(run_model(run, note.model), transform, note.transform.neutral, tensors, note.pretrained, file)


def file_sha256(file: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def parameter_counts(detector: Detector) -> tuple[int, int]:
    """Number of parameters trained, and in the whole detector (with the frozen backbone up to its last stage used)."""
    trained = total = 0
    for member, _ in detector.members:
        trained += count_parameters(member.network, trained=True)
        total += count_parameters(member.network) + family_of(member.model).frozen_parameters(member.model)
    return trained, total

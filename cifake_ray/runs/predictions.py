"""val_predictions.npz: each retraining's logits of the validation pictures, for calibration and ensembles."""

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from cifake_ray.errors import InputError
from cifake_ray.runs.files import write_bytes
from cifake_ray.runs.records.store import read_tested
from cifake_ray.runs.run import Run

ROLES = ("tuned", "baseline")


@dataclass(frozen=True, eq=False)
class ValidationLogits:
    """Validation pictures, and each retraining's logit of FAKE.

    labels: uint8 [n], 0 FAKE, 1 REAL; names: unicode [n]; groups: column to one value a picture, unicode [n], "" where
    unknown; logits: by role and seed, float32 [n], infinite ones possible.
    """

    labels: np.ndarray
    names: np.ndarray
    groups: dict[str, np.ndarray]
    logits: dict[str, dict[int, np.ndarray]]


def write_validation(run: Run, found: ValidationLogits) -> str:
    """Write val_predictions.npz in one step; returns the SHA-256 (hex) of the file, which test.json notes."""
    arrays = {"labels": found.labels, "names": found.names}
    for column, values in found.groups.items():
        known, codes = np.unique(values, return_inverse=True)
        arrays[f"group_{column}"] = codes.astype(np.min_scalar_type(len(known)))
        arrays[f"values_{column}"] = known
    for role, seeds in found.logits.items():
        arrays |= {f"{role}_{seed}": logits for seed, logits in seeds.items()}
    data = packed(arrays)
    write_bytes(run.validation_file, data)
    return hashlib.sha256(data).hexdigest()


def read_validation(run: Run) -> ValidationLogits | None:
    """The validation logits of a run; None where they are not stored: before the test, or by an earlier version.

    Raises InputError for a file that is damaged or not the one that test.json notes; nothing in it is unpickled.
    """
    file, noted = run.validation_file, read_tested(run).validation_sha256
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return None
    if noted is not None and hashlib.sha256(data).hexdigest() != noted:
        raise _damaged(run, f"not the file that {run.test_file.name} notes")
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        found = _unpacked(arrays)
    except (ValueError, KeyError, IndexError, EOFError, OSError, zlib.error, zipfile.BadZipFile) as error:
        raise _damaged(run, str(error)) from error
    if fault := _fault(found):
        raise _damaged(run, fault)
    return found


def validation_fault(run: Run) -> str | None:
    """Why the validation logits that test.json notes cannot be used; None when they can, or when none are noted."""
    if read_tested(run).validation_sha256 is None:
        return None
    try:
        return None if read_validation(run) else f"{run.validation_file}: missing"
    except InputError as error:
        return error.what


def packed(arrays: Mapping[str, np.ndarray]) -> bytes:
    """The arrays as an npz file; the same bytes for the same arrays."""
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _unpacked(arrays: Mapping[str, np.ndarray]) -> ValidationLogits:
    groups, logits = {}, dict[str, dict[int, np.ndarray]]()
    for name, array in arrays.items():
        kind, _, rest = name.partition("_")
        if kind == "group":
            groups[rest] = arrays[f"values_{rest}"][array]
        elif kind in ROLES:
            logits.setdefault(kind, {})[int(rest)] = array
    return ValidationLogits(arrays["labels"], arrays["names"], groups, logits)


def _fault(found: ValidationLogits) -> str | None:
    """What contradicts itself in the arrays: labels, lengths, logits that are no numbers."""
    if not np.isin(found.labels, (0, 1)).all():
        return "a label that is neither 0 (FAKE) nor 1 (REAL)"
    arrays = {"names": found.names, **found.groups}
    arrays |= {f"{role}_{seed}": logits for role, seeds in found.logits.items() for seed, logits in seeds.items()}
    for name, array in arrays.items():
        if array.shape != found.labels.shape:
            return f"{name} has another length than labels"
        if array.dtype.kind == "f" and np.isnan(array).any():
            return f"{name} holds values that are no numbers"
    return None


def _damaged(run: Run, reason: str) -> InputError:
    return InputError(
        f"{run.validation_file}: damaged ({reason})", "`cifake-ray tune --resume` computes the logits anew"
    )

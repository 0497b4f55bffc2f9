"""Answers of a trained detector on picture files, one for each file, whatever the other files are."""

import math
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cifake_ray.data import load_image_file
from cifake_ray.data.datasets import recorded_card
from cifake_ray.data.decoding.decode import Picture
from cifake_ray.data.decoding.items import MAX_SOURCE_BYTES
from cifake_ray.data.transform import Transform, noted_transform
from cifake_ray.detector.decision import DECISION
from cifake_ray.detector.domain import Judged, judge_domain
from cifake_ray.detector.note import read_model_note
from cifake_ray.errors import InputError
from cifake_ray.runs.records.store import read_environment
from cifake_ray.runs.run import Run

_BATCH = 256  # pictures in memory at once, of which the squares take _BATCH_BYTES at most
_BATCH_BYTES = 1 << 26


def predict_files(run: Run, files: Sequence[str]) -> Iterator[dict[str, Any]]:
    """For each file in order: `file`, `label`, `p_fake`, `domain`, `score`, `reason`, `remarks`; or `file`, `error`.

    label: FAKE where p_fake, of the uncalibrated model, is above 0.5. domain: `inside`, `outside` (a picture unlike
    the validation images: the answer means nothing) or `unknown`. remarks: what was converted. Raises InputError when
    the run has no usable model.
    """
    note = read_model_note(run)
    card = recorded_card(read_environment(run).data.as_json())
    trained_on = [f"the detector was trained on the {card.note}"] if card.note else []
    detector, transform = None, noted_transform(note.transform)
    for some in _in_batches(files, transform):
        read = [_read(file, transform) for file in some]
        good = [one for one in read if not isinstance(one, str)]
        if good and detector is None:
            from cifake_ray.detector.load import load_detector  # imports torch: late, for files that are no pictures
            from cifake_ray.detector.module import use_all_cores

            use_all_cores()
            detector = load_detector(run)
        answers: Iterator[tuple[float, Judged]] = iter(())
        if detector is not None and good:
            pixels = np.stack([picture.squares.pixels for picture in good])
            judged = judge_domain(note.domain, pixels, [picture.size for picture in good])
            answers = zip(detector.p_fake(pixels).tolist(), judged, strict=True)
        for file, one in zip(some, read, strict=True):
            if isinstance(one, str):
                yield {"file": file, "error": one}
                continue
            yield {"file": file, **_answer(*next(answers)), "remarks": [*one.conversions, *trained_on]}


def _in_batches(files: Sequence[str], transform: Transform) -> Iterator[Sequence[str]]:
    size = max(1, min(_BATCH, _BATCH_BYTES // math.prod(transform.shape)))
    return (files[at : at + size] for at in range(0, len(files), size))


def _answer(p_fake: float, judged: Judged) -> dict[str, Any]:
    label = "FAKE" if p_fake > DECISION else "REAL"
    domain = {"domain": judged.domain, "score": judged.score, "reason": judged.reason}
    return {"label": label, "p_fake": round(p_fake, 6), **domain}


def _read(file: str, transform: Transform) -> Picture | str:
    """The picture; or why the file cannot be judged."""
    if refusal := _refusal(file):
        return refusal
    try:
        picture = load_image_file(file, transform)
        squares = picture.squares._replace(pixels=picture.squares.pixels.copy())  # a crop holds the whole picture
        return picture._replace(squares=squares)
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _refusal(file: str) -> str | None:
    """Why a name is no picture file; the file is not read, because reading may never end."""
    if "://" in file:
        return "an address; download the picture and name the file"
    try:
        status = Path(file).stat()
    except (OSError, ValueError) as error:
        glob = "; the shell found no file of this pattern" if any(sign in file for sign in "*?[") else ""
        return f"cannot be read ({getattr(error, 'strerror', None) or error}){glob}"
    if stat.S_ISDIR(status.st_mode):
        return "a folder; name its files, as in FOLDER/*.jpg"
    if not stat.S_ISREG(status.st_mode):
        return "no regular file; copy the picture into one"
    if status.st_size > MAX_SOURCE_BYTES:
        return f"{status.st_size / 1e6:,.0f} MB, more than a picture of {MAX_SOURCE_BYTES / 1e6:,.0f} MB"
    return None

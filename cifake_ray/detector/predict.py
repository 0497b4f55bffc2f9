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
from cifake_ray.detector.verdict import ALPHA, VERDICTS, Rule, check_rule, outside_of
from cifake_ray.errors import InputError
from cifake_ray.runs.records.store import read_environment
from cifake_ray.runs.run import Run

_BATCH = 256  # pictures in memory at once, of which the squares take _BATCH_BYTES at most
_BATCH_BYTES = 1 << 26


def predict_files(run: Run, files: Sequence[str], alpha: float = ALPHA, prior: float = 0.5) -> Iterator[dict[str, Any]]:
    """For each file in order: its answer, or `file` and `error`.

    verdict: `fake`, `real` or `unsure` at `alpha` (`detector.verdict`); probability: calibrated p(FAKE) where a share
    `prior` of the pictures is FAKE; reasons: of the verdict. Of a run without a decision verdict and probability are
    None, and `calibrated` is `uncalibrated`. label: FAKE where p_fake, of the uncalibrated model, is above 0.5. domain:
    `inside`, `outside` (a picture unlike the validation images: its answer means nothing) or `unknown`. remarks: what
    was converted. Raises InputError when the run has no usable model, or for a wrong alpha or prior.
    """
    check_rule(alpha, prior)
    note = read_model_note(run)
    rule = None if note.decision is None else Rule(note.decision, alpha, prior)
    card = recorded_card(read_environment(run).data.as_json())
    trained_on = [f"the detector was trained on the {card.note}"] if card.note else []
    detector, transforms = None, [noted_transform(member.transform) for member in note.judging]
    for some in _in_batches(files, transforms):
        read = [_read(file, transforms) for file in some]
        good = [one for one in read if not isinstance(one, str)]
        if good and detector is None:
            from cifake_ray.detector.load import load_detector  # imports torch: late, for files that are no pictures
            from cifake_ray.detector.module import use_all_cores

            use_all_cores()
            detector = load_detector(run)
        answers: Iterator[dict[str, Any]] = iter(())
        if detector is not None and good:
            seen = {transform: np.stack([pictures[transform].squares.pixels for pictures in good])
                    for transform in good[0]}  # fmt: skip
            sizes = [pictures[transforms[0]].size for pictures in good]
            judged = judge_domain(note.domain, seen[transforms[0]], sizes)
            logits = detector.logits_of_members([seen[transform] for transform in transforms])
            answers = _answers(run, rule, logits, judged)
        for file, one in zip(some, read, strict=True):
            if isinstance(one, str):
                yield {"file": file, "error": one}
                continue
            conversions = dict.fromkeys(what for picture in one.values() for what in picture.conversions)
            yield {"file": file, **next(answers), "remarks": [*conversions, *trained_on]}


def verdicts_lacking(run: Run, alpha: float) -> list[str]:
    """Which verdicts the run's model can never give at this alpha for lack of calibration pictures."""
    decision = read_model_note(run).decision
    return [] if decision is None else Rule(decision, alpha).lacking()


def _in_batches(files: Sequence[str], transforms: Sequence[Transform]) -> Iterator[Sequence[str]]:
    size = max(1, min(_BATCH, _BATCH_BYTES // sum(math.prod(transform.shape) for transform in {*transforms})))
    return (files[at : at + size] for at in range(0, len(files), size))


def _answers(run: Run, rule: Rule | None, logits: np.ndarray, judged: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    """The answer to each picture, from its logit and its place in the domain."""
    from cifake_ray.detector.module import uncalibrated

    decided: Iterator[dict[str, Any]] = iter([_without_decision(run) for _ in judged])
    if rule is not None:
        decided = _decided(rule, logits, judged)
    for p_fake, one, found in zip(uncalibrated(logits).tolist(), judged, decided, strict=True):
        label = "FAKE" if p_fake > DECISION else "REAL"
        domain = {"domain": one.domain, "score": one.score, "reason": one.reason}
        yield {**found, "label": label, "p_fake": round(p_fake, 6), **domain}


def _decided(rule: Rule, logits: np.ndarray, judged: Sequence[Judged]) -> Iterator[dict[str, Any]]:
    codes, stated = rule.verdicts(logits, outside_of(judged)).tolist(), rule.probabilities(logits).tolist()
    for code, p_fake, logit, one in zip(codes, stated, logits.tolist(), judged, strict=True):
        yield {
            "verdict": VERDICTS[code],
            "probability": round(p_fake, 6),
            "calibrated": rule.decision.calibrated_on,
            "alpha": rule.alpha,
            "prior": rule.prior,
            "reasons": rule.reasons(logit, one),
        }


def _without_decision(run: Run) -> dict[str, Any]:
    cure = f"`cifake-ray evaluate {run.where} --calibrate` gives the model a verdict"
    empty = dict.fromkeys(("verdict", "probability"))
    return {**empty, "calibrated": "uncalibrated", "alpha": None, "prior": None, "reasons": [f"uncalibrated: {cure}"]}


def _read(file: str, transforms: Sequence[Transform]) -> dict[Transform, Picture] | str:
    """The picture under each transform; or why the file cannot be judged."""
    if refusal := _refusal(file):
        return refusal
    try:
        return {transform: _picture(file, transform) for transform in transforms}
    except InputError as error:
        return str(error).removeprefix(f"{file}: ")
    except OSError as error:
        return f"cannot be read ({error.strerror or error})"


def _picture(file: str, transform: Transform) -> Picture:
    picture = load_image_file(file, transform)
    return picture._replace(squares=picture.squares._replace(pixels=picture.squares.pixels.copy()))  # not the whole


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

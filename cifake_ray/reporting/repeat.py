"""The command that repeats a study, from its recorded experiment: it holds every override, the seed and the trials."""

import json
import shlex
from pathlib import PurePath

from cifake_ray.experiment import SAMPLES, keys_of
from cifake_ray.reporting.load import Role, Study

_NAMES = {"tuned": "winner", "baseline": "baseline"}
PUBLISHED = "studies"  # folder of the copies beside a published report


def repeat_command(study: Study) -> str:
    """`tune`, or `train` where nothing was searched, on the run's own experiment.yaml and the same images; or `blend`.

    Beside a published report the file is named as it lies there, and a folder of images by a word: the title of its
    card, or DATA.
    """
    if study.is_blend:
        members = [_beside(study, member.run) for member in study.records.blend.members]
        return shlex.join(["cifake-ray", "blend", *members, "--name", f"{study.path.name}-again"])
    words = ["cifake-ray", "tune" if study.dimensions else "train", _file(study), "--name", f"{study.path.name}-again"]
    workers = study.experiment.resources.workers_per_trial
    if not study.dimensions and workers:
        words += ["--workers", str(workers)]
    for note in study.records.environment.warm_start:
        words += ["--warm-start", _beside(study, note.run)]
    return shlex.join([*words, "--data", _source(study)])


def _beside(study: Study, run: str) -> str:
    """Another run, as it lies beside the study: named by its folder where it is there."""
    if study.path.parent.name == PUBLISHED:
        return f"{PUBLISHED}/{run}"
    folder = study.path.parent / run
    return str(folder) if folder.is_dir() else run


def winner_command(study: Study, role: Role = "tuned") -> str:
    """The command that trains the retrained model of this role again, every setting named; "" before there is one."""
    winner = study.outcome(role)
    if study.is_blend:
        return repeat_command(study)
    if winner is None:
        return ""
    words = ["cifake-ray", "train", _file(study), "--name", f"{study.path.name}-{_NAMES[role]}"]
    model = keys_of(study.experiment.model)
    for name, value in winner.params.items():
        words += ["--set", f"{'model' if name in model else 'training'}.{name}={json.dumps(value)}"]
    return shlex.join([*words, "--data", _source(study)])


def _file(study: Study) -> str:
    """The run's experiment.yaml; of a published copy as it lies beside the report."""
    published = study.path.parent.name == PUBLISHED
    return f"{PUBLISHED}/{study.path.name}/experiment.yaml" if published else str(study.path / "experiment.yaml")


def _source(study: Study) -> str:
    """The images as they can be given: where they lie, or a word for what the reader must have."""
    source = study.records.environment.data.source or study.experiment.data.source
    if source in SAMPLES or PurePath(source).is_absolute() or "://" in source:
        return source
    return study.card.title or "DATA"

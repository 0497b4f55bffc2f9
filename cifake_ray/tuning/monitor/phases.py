"""The named phases of a study, numbered: what a person reads before the first trial and between the last ones."""

import sys
from typing import Literal

from cifake_ray.console import counted, print_note, say
from cifake_ray.experiment import BackboneModel, Experiment
from cifake_ray.runs.run import FINISHED, Run, in_job

Phase = Literal["images", "features", "search", "retraining"]


def phases(experiment: Experiment) -> list[Phase]:
    """The phases that this study has: features only for a frozen backbone."""
    frozen = isinstance(experiment.model, BackboneModel) and experiment.model.frozen
    return ["images", *(["features"] if frozen else []), "search", "retraining"]  # type: ignore[list-item]


def phase_name(experiment: Experiment, phase: Phase) -> str:
    """`2/4 features`; the last phase tests as well as it retrains."""
    known = phases(experiment)
    return f"{known.index(phase) + 1}/{len(known)} {phase}"


def say_phase(experiment: Experiment, phase: Phase, detail: str = "") -> None:
    """Print that a phase begins; in a Ray job note it for `cifake-ray status` too."""
    name = phase_name(experiment, phase) + (f", {detail}" if detail else "")
    say(name)
    note_phase(name)


def note_phase(phase: str) -> None:
    """In a Ray job: note for `cifake-ray status` what is done now."""
    if in_job():
        print_note({"phase": phase})


def opening_line(experiment: Experiment, name: str, *, resumed: Run | None = None) -> str:
    """The first line of a study: name, model, trials and images; of a resumed one also how far it is."""
    source = experiment.data.source
    images = "generated sample (NOT CIFAKE; --data or CIFAKE_RAY_DATA)" if source == "sample" else source
    about = f"{name} · {experiment.model.kind} · {counted(experiment.search.trials, 'trial')} · images: {images}"
    return (
        about
        if resumed is None
        else f"resuming {about} · {finished_trials(resumed)} of {experiment.search.trials} done"
    )


def say_opening(experiment: Experiment, name: str, resumed: Run | None) -> None:
    """Print the first line of a study, on a terminal in yellow if its images are the generated sample."""
    line = opening_line(experiment, name, resumed=resumed)
    yellow = experiment.data.source == "sample" and sys.stderr.isatty()
    say(f"\033[33m{line}\033[0m" if yellow else line)


def finished_trials(run: Run) -> int:
    """Trials of the run's table that have ended; 0 without a table."""
    try:
        rows = run.trials_file.read_text().splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return 0
    return sum(row.split(",")[1:2] != [] and row.split(",")[1] in FINISHED for row in rows)

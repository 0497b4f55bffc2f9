"""The named phases of a study, numbered: what a person reads before the first trial and between the last ones."""

import sys
from typing import Literal

from cifake_ray.console import counted, print_note, say
from cifake_ray.data.datasets import CARDS
from cifake_ray.experiment import SAMPLES, Experiment
from cifake_ray.runs.columns import FINISHED
from cifake_ray.runs.resume import in_job
from cifake_ray.runs.run import Run

Phase = Literal["images", "features", "search", "retraining"]


def phases(experiment: Experiment) -> list[Phase]:
    """The phases of a study: features only for a frozen backbone, no retraining where one configuration is trained."""
    features: list[Phase] = ["features"] if experiment.model.takes_features else []
    retraining: list[Phase] = ["retraining"] if experiment.search.winner_seeds else []
    return ["images", *features, "search", *retraining]


def phase_name(experiment: Experiment, phase: Phase) -> str:
    """`2/4 features`; `2/2 training` where nothing is searched. The last phase tests too."""
    known = phases(experiment)
    number = known.index(phase) + 1 if phase in known else len(known)
    searched = experiment.search_space or experiment.search.winner_seeds
    return f"{number}/{len(known)} {phase if searched or phase != 'search' else 'training'}"


def say_phase(experiment: Experiment, phase: Phase, detail: str = "") -> None:
    """Print that a phase begins; in a Ray job, print a note for `cifake-ray status` too."""
    name = phase_name(experiment, phase) + (f", {detail}" if detail else "")
    say(name)
    note_phase(name)


def note_phase(phase: str) -> None:
    """Print a note of the present phase for `cifake-ray status`, in a Ray job."""
    if in_job():
        print_note({"phase": phase})


def opening_line(experiment: Experiment, name: str, *, resumed: Run | None = None) -> str:
    """The first line of a study: name, model, trials and images; of a resumed study also its finished trials."""
    source = experiment.data.source
    images = f"{CARDS[source].note} (yours: --data or CIFAKE_RAY_DATA)" if source in SAMPLES else source
    about = f"{name} · {experiment.model.kind} · {counted(experiment.search.trials, 'trial')} · images: {images}"
    return (
        about
        if resumed is None
        else f"resuming {about} · {finished_trials(resumed)} of {experiment.search.trials} done"
    )


def say_opening(experiment: Experiment, name: str, resumed: Run | None) -> None:
    """Print the first line of a study, on a terminal in yellow if its images are the generated sample."""
    line = opening_line(experiment, name, resumed=resumed)
    yellow = experiment.data.source in SAMPLES and sys.stderr.isatty()
    say(f"\033[33m{line}\033[0m" if yellow else line)


def finished_trials(run: Run) -> int:
    """Trials of the run's table that have ended; 0 without a table."""
    try:
        rows = run.trials_file.read_text().splitlines()[1:]
    except (OSError, UnicodeDecodeError):
        return 0
    return sum(row.split(",")[1:2] != [] and row.split(",")[1] in FINISHED for row in rows)

"""The commands that repeat a study, and train its winner again."""

from cifake_ray.experiment import save_experiment
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.repeat import repeat_command, winner_command
from cifake_ray.reporting.section import Listing, Section


def winner(study: Study) -> Section | None:
    """Every setting of the winner, as the command that trains it again."""
    command = winner_command(study)
    return Section("The winner's settings", listings=(Listing((command,)),)) if command else None


def repetition(study: Study) -> Section:
    """The command that repeats the study, and its experiment."""
    folded = Listing((save_experiment(study.experiment),), fold="The resolved experiment (experiment.yaml)")
    return Section("How to repeat it", listings=(Listing((repeat_command(study),)), folded))

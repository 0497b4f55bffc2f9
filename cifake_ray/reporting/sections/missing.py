"""What half-finished runs do not have yet."""

from collections.abc import Sequence

from cifake_ray.reporting.load import ROLES, Study, state_of
from cifake_ray.reporting.section import Section


def build(studies: Sequence[Study]) -> Section | None:
    """What each study lacks."""
    found = [f"{study.name}: {sentence}" for study in studies for sentence in missing(study)]
    return Section("What is missing", found, look="list", page=False) if found else None


def of_study(study: Study) -> Section | None:
    """What the study lacks, for its part of the page."""
    found = missing(study)
    return Section(sentences=found, look="warning") if found else None


def missing(study: Study) -> list[str]:
    """Plain sentences on what a half-finished run does not have yet; empty for a complete one."""
    counts, found = study.counts(), []
    if study.is_blend:
        return [] if study.tested("tuned") else ["The blend was not tested; remove its folder and make it again."]
    if study.trials.empty:
        found.append("No trial has been recorded yet.")
    elif state_of(study) == "failed":
        found.append(f"All {counts['failed']} trials failed; the trial table gives the reasons.")
    if counts["running"]:
        found.append(f"Trials marked as running: {counts['running']}; the numbers are those so far.")
    if counts["interrupted"]:
        found.append(
            f"Trials interrupted: {counts['interrupted']}; `cifake-ray tune --resume {study.name}` continues them."
        )
    if len(study.trials) and study.curves.empty:
        found.append("There are no learning curves (curves.csv is missing or empty).")
    if study.records.environment.empty:
        found.append(
            "environment.json is missing: data, versions and hardware are not recorded, intervals are left out."
        )
    return found + _missing_test(study)


def _missing_test(study: Study) -> list[str]:
    found = [] if study.retested else ["A newer retraining is not tested yet; the test scores are the older ones."]
    if study.stored is None and any(study.tested(role) for role in ROLES):
        found.append("test_predictions.npz is missing: test scores are those noted in test.json, not computed again.")
    for role in ROLES:
        if (outcome := study.outcome(role)) is not None and (reasons := outcome.failed):
            found.append(f"Retrainings of the {role} model that failed: {len(reasons)} ({reasons[0]}).")
    tested = [role for role in ROLES if study.tested(role)]
    if len(tested) == len(ROLES) or (study.ranked().empty and study.outcome("tuned") is None):
        return found
    if study.experiment.search.winner_seeds == 0:
        return [*found, "search.winner_seeds is 0: nothing was retrained, and the baseline is not tested."]
    if any(study.outcome(role) for role in ROLES):
        return [*found, "Not every winner has been tested yet; cifake-ray evaluate does it."]
    return [
        *found,
        "Winner and baseline have not been retrained and tested yet; accuracies are those of single trials.",
    ]

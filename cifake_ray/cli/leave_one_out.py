"""`tune --leave-one-out COLUMN`: a study without each group, one after another, then one table over all groups."""

import json
from typing import Any

from cifake_ray.cli.show import print_table
from cifake_ray.cli.study import print_plan, results_fault, test_winners
from cifake_ray.console import say
from cifake_ray.errors import Interrupted, WorkError
from cifake_ray.tuning.leave_one_out import new_studies, resume_all, resumed_studies
from cifake_ray.tuning.request import StudyRequest


def tune_without_each(
    asked: StudyRequest, column: str, trials: int | None, *, dry_run: bool, as_json: bool
) -> None:  # fmt: skip
    """Run, or resume, the studies of every group of the column, test each as it ends, and print their table.

    asked: the study of all groups, or the name of those that are resumed. A study whose trials all fail is left out of
    the table. Raises WorkError then, after the others; Interrupted with the command that resumes all.
    """
    again = resume_all(asked.storage, asked.name, column)
    if asked.resume:
        found = (asked.storage, asked.name, column, trials, asked.address, asked.data)
        requests = resumed_studies(*found, trust=asked.trust)
    else:
        requests = new_studies(asked, column, _columns(asked) if dry_run else None)
    if dry_run:
        print_plan(requests[0])
        print(f"# and so on, {len(requests)} studies: {', '.join(request.name for request in requests)}")
        return
    try:
        runs, failures = _run_all(requests)
    except Interrupted as stop:
        raise Interrupted(f"{stop}; or all studies that are left: {again}") from stop
    if runs:
        _print_table(runs, column, as_json=as_json)
    if failures:
        raise WorkError(f"{len(failures)} of {len(requests)} studies failed: {'; '.join(failures)}")


def _columns(asked: StudyRequest) -> Any:
    from cifake_ray.tuning.dry_run import groups_before_decoding

    return groups_before_decoding(asked.experiment)


def _run_all(requests: list[StudyRequest]) -> tuple[list[Any], list[str]]:
    """The runs that were tested, and why the others failed."""
    from cifake_ray.tuning.ray_cluster.session import ray_session
    from cifake_ray.tuning.request import run_study

    runs: list[Any] = []
    failures: list[str] = []
    with ray_session(requests[0].address, requests[0].experiment):
        for number, request in enumerate(requests, 1):
            say(f"\nstudy {number} of {len(requests)}: {request.name}")
            try:
                run = run_study(request, results_fault)
            except WorkError as error:
                failures.append(str(error))
                continue
            test_winners(run)
            runs.append(run)
    return runs, failures


def _print_table(runs: list[Any], column: str, *, as_json: bool) -> None:
    from cifake_ray.reporting.by_group import leave_one_out
    from cifake_ray.reporting.load import load_all
    from cifake_ray.reporting.section import Section
    from cifake_ray.reporting.sections.generators import left_out_table
    from cifake_ray.reporting.writers.terminal import tables

    studies = load_all([run.path for run in runs])
    if as_json:
        print(json.dumps(leave_one_out(studies, column).as_json(), indent=1))
        return
    for columns, rows in tables(Section(tables=(left_out_table(studies),)), None):
        print_table(columns, rows)
    print(f"next: cifake-ray report {' '.join(run.where for run in runs)}")

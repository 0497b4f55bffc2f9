"""Leave one group out: for each group of a column a study that trains and chooses without it, and is tested on it.

The studies are runs like any other, NAME-without-GROUP, one after the other on the same Ray: each fills the machine.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cifake_ray.console import progress
from cifake_ray.data import load_images, run_images
from cifake_ray.data.groups import Columns, columns_of
from cifake_ray.data.sources.reading import reading_of
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.names import list_runs
from cifake_ray.runs.resume import Storage, resume_command
from cifake_ray.runs.run import run_at
from cifake_ray.runs.trust import run_experiment
from cifake_ray.tuning.request import StudyRequest, check_new_study, resumed_request

_LONGEST = 64  # characters of a run's name


def new_studies(request: StudyRequest, column: str, columns: Columns | None = None) -> list[StudyRequest]:
    """A request for each group of the train part, in the order of their names; `request`: the study of all groups.

    columns: the groups of the train part, where they are known before the pictures are decoded.
    Raises InputError: a column that the pictures lack, or that is left out anyway; one group alone; a name that is
    taken.
    """
    experiment = request.experiment
    _check_free(experiment, column)
    if columns is None:
        data = experiment.data
        with progress("decoding images") as update:
            images = load_images(data.source, limit=data.limit, progress=update, reading=reading_of(data))
        columns = columns_of(images.train.table)
    found = [
        replace(request, experiment=_without(experiment, column, value), name=name)
        for value, name in study_names(request.name, _groups(column, columns)).items()
    ]
    for one in found:
        if run_at(one.storage, one.name).exists():
            raise InputError(
                f"{run_at(one.storage, one.name).where}: a run of this name exists",
                f"resume all with `{resume_all(request.storage, request.name, column)}`, or choose another --name",
            )
        check_new_study(one)
    return found


def resumed_studies(
    storage: Storage,
    name: str,
    column: str,
    trials: int | None,
    address: str | None,
    data: str | None = None,
    *,
    trust: bool = False,
) -> list[StudyRequest]:
    """The requests that finish what `new_studies` began: runs that exist are resumed, the others are new.

    Raises InputError when no run of this kind exists, or as `resumed_request` does.
    """
    runs = [run for run in list_runs(storage, f"{name}-without-") if column in run.experiment().data.leave_out]
    if not runs:
        raise InputError(
            f"--resume {name}: no run {name}-without-… left out a {column} in {storage}", "start it with an EXPERIMENT"
        )
    own = run_experiment(runs[0].trusting(trust))
    left = {key: values for key, values in own.data.leave_out.items() if key != column}
    images = run_images(runs[0], own, data)
    source = data or own.data.source
    base = own.model_copy(update={"data": own.data.model_copy(update={"leave_out": left, "source": source})})
    if trials is not None:
        base = base.model_copy(update={"search": base.search.model_copy(update={"trials": trials})})
    found = []
    for value, study in study_names(name, _groups(column, columns_of(images.train.table))).items():
        if run_at(storage, study).exists():
            found.append(resumed_request(storage, study, trials, address, data, trust=trust))
        else:
            found.append(StudyRequest(_without(base, column, value), storage, study, address=address))
            check_new_study(found[-1])
    return found


def study_names(name: str, values: Sequence[str]) -> dict[str, str]:
    """The name of the study without each group: `mine-without-sd14`. Signs that no name may have become hyphens."""
    found: dict[str, str] = {}
    for value in values:
        stem = f"{name}-without-{re.sub(r'[^A-Za-z0-9._-]+', '-', value).strip('-') or 'group'}"
        names = (stem[:_LONGEST], *(f"{stem[: _LONGEST - 3]}-{number}" for number in range(2, 100)))
        found[value] = next(free for free in names if free not in found.values())
    return found


def resume_all(storage: Storage, name: str, column: str) -> str:
    """The command that resumes all of these studies."""
    return f"{resume_command(name, storage)} --leave-one-out {column}"


def _groups(column: str, columns: Columns) -> list[str]:
    if column not in columns:
        there = f"known of these images: {', '.join(columns)}" if columns else "no group of these images is known"
        raise InputError(f"--leave-one-out {column}: the {column}s of these images are not known", there)
    values = sorted(columns[column])
    if len(values) < 2:
        raise InputError(
            f"--leave-one-out {column}: only {', '.join(values) or 'none'} in the train part, so none is left to train "
            "on",
            "give images of two or more",
        )
    return values


def _check_free(experiment: Experiment, column: str) -> None:
    out: Mapping[str, Sequence[str]] = experiment.data.leave_out
    if column in out:
        raise InputError(
            f"--leave-one-out {column}: data.leave_out leaves out {column} {', '.join(out[column])} already",
            f"remove data.leave_out.{column}",
        )


def _without(experiment: Experiment, column: str, value: str) -> Experiment:
    left = {**experiment.data.leave_out, column: (value,)}
    return experiment.model_copy(update={"data": experiment.data.model_copy(update={"leave_out": left})})

"""Commands that train: demo, tune, train; and plan, which says what a study costs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from cifake_ray.cli.app import (
    DEFAULT_STORAGE,
    AddressOption,
    DataOption,
    DryRunOption,
    ExperimentArgument,
    JsonOption,
    NameOption,
    ResumeOption,
    SeedOption,
    SetOption,
    StorageOption,
    TrialsOption,
    TrustOption,
    WarmStartOption,
    app,
)
from cifake_ray.cli.find import is_run, load_named, load_new, shipped_experiments
from cifake_ray.cli.show import plan_lines, print_closing, print_comparison
from cifake_ray.console import say
from cifake_ray.errors import InputError


@app.command(
    short_help="Tune small models on the built-in sample, print the comparison.", epilog="Example: cifake-ray demo"
)
def demo(
    storage: StorageOption = DEFAULT_STORAGE,
    trials: TrialsOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/demo"),
) -> None:
    """Tune small models on the built-in generated sample, then report. Nothing is downloaded; about two minutes.

    Models that need an extra of this program which is not installed are left out.
    """
    from cifake_ray.data.datasets.sample import CARD
    from cifake_ray.experiment import load_experiment
    from cifake_ray.runs.names import free_name
    from cifake_ray.tuning.ray_cluster.session import ray_session
    from cifake_ray.tuning.request import StudyRequest, check_new_study

    settings = [] if trials is None else [f"search.trials={trials}"]
    shipped = [load_experiment(path, settings) for path in shipped_experiments() if path.parent.name == "demo"]
    experiments = [loaded for loaded in shipped if not loaded.model.missing_extra]
    requests = [StudyRequest(loaded, storage, free_name(storage, loaded.name)) for loaded in experiments]
    for request in requests:
        check_new_study(request)
    print(f"images: {CARD.note}; they show that the program works", flush=True)
    for line in _left_out(shipped):
        print(line, flush=True)
    with ray_session(None, experiments[0]):
        runs = [_run_headed(request, number, len(requests)) for number, request in enumerate(requests, 1)]
    _finish(runs, out)


def _left_out(experiments: Sequence[Any]) -> list[str]:
    """A line for each experiment whose model cannot be built here, with the command that installs what lacks."""
    missing = {loaded.name: loaded.model.missing_extra for loaded in experiments if loaded.model.missing_extra}
    return [
        f"left out: {name}, whose model needs the extra `{extra}`; run `pip install 'cifake-ray[{extra}]'`"
        for name, extra in missing.items()
    ]


@app.command(
    short_help="Tune a model, retrain the winner and the baseline, test both.",
    epilog="Example: cifake-ray tune search_spaces/cnn.yaml --data ~/cifake --trials 10 --set training.epochs=5",
)
def tune(
    experiment: ExperimentArgument = None,
    name: NameOption = None,
    storage: StorageOption = DEFAULT_STORAGE,
    data: DataOption = None,
    trials: TrialsOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    address: AddressOption = None,
    resume: ResumeOption = None,
    warm_start: WarmStartOption = None,
    dry_run: DryRunOption = False,
    trust: TrustOption = False,
    leave_one_out: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="A study NAME-without-GROUP for each group of this column, as generator, that trains without the "
            "group and is tested on it; then one table.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="With --leave-one-out: print the table as JSON.")] = False,
) -> None:
    """Tune a model: run the trials of an experiment, retrain the winner and the baseline, test both.

    Ctrl-C once saves and says how to resume; twice stops at once.
    """
    from cifake_ray.tuning.request import StudyRequest, check_new_study, resumed_request, run_study

    if as_json and leave_one_out is None:
        raise InputError("--json prints the table of --leave-one-out", "add it, or read the run's test.json")
    if warm_start and leave_one_out is not None:
        raise InputError("--warm-start begins one study", "leave out --leave-one-out or --warm-start")
    loaded = load_new(
        resume, experiment, name=name, data=data, trials=trials, seed=seed, settings=set_ or [], trust=trust,
        warm_start=warm_start,
    )  # fmt: skip
    if leave_one_out is not None:
        from cifake_ray.cli.leave_one_out import tune_without_each

        asked = StudyRequest(loaded, storage, resume or name or loaded.name, resume is not None, address, data, trust)
        tune_without_each(asked, leave_one_out, trials, dry_run=dry_run, as_json=as_json)
        return
    if resume is not None:
        request = resumed_request(storage, resume, trials, address, data, trust=trust)
    else:
        parents = _parents(warm_start, storage, loaded)
        request = StudyRequest(loaded, storage, name or loaded.name, address=address, parents=parents)
        check_new_study(request)
    if dry_run:
        print_plan(request)
        return
    _score(run_study(request, results_fault))


@app.command(
    short_help="Train one configuration and test it.",
    epilog="Example: cifake-ray train search_spaces/cnn.yaml --set training.lr=3e-3 --workers 2",
)
def train(
    what: Annotated[
        str, typer.Argument(metavar="EXPERIMENT|RUN", help="An experiment's own values, or a run's best trial.")
    ],
    workers: Annotated[int, typer.Option(help="Data-parallel workers; 0 trains in one process.", min=0)] = 0,
    name: NameOption = None,
    storage: StorageOption = DEFAULT_STORAGE,
    data: DataOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    address: AddressOption = None,
    trust: TrustOption = False,
) -> None:
    """Train one configuration and test it: a run like any other, with one trial."""
    from cifake_ray.runs.names import find_run
    from cifake_ray.tuning.request import StudyRequest, check_new_study, run_study
    from cifake_ray.tuning.single_trial import best_of_run, single_trial

    loaded = (
        best_of_run(find_run(what, storage).trusting(trust), data=data, seed=seed, settings=set_ or [])
        if is_run(what, storage)
        else load_named(what, data=data, trials=None, seed=seed, settings=set_ or [], trust=trust)
    )
    loaded = single_trial(loaded, workers)
    request = StudyRequest(loaded, storage, name or f"{loaded.name}-train", address=address)
    check_new_study(request, searching=False)
    _score(run_study(request))


def _parents(places: list[str] | None, storage: str, experiment: Any) -> tuple[Any, ...]:
    """The studies that `--warm-start` names."""
    if not places:
        return ()
    from cifake_ray.tuning.warm_start.parents import read_parents

    return read_parents(places, storage, experiment)


def print_plan(request: Any) -> None:
    from cifake_ray.experiment import save_experiment
    from cifake_ray.runs.run import run_at
    from cifake_ray.tuning.dry_run import rehearse

    slots, lines = rehearse(request)
    print(save_experiment(request.experiment), end="")
    for line in lines:
        print(f"# {line}")
    trials = request.experiment.search.trials
    print(f"# valid; would run {trials} trials, {slots} at once, in {run_at(request.storage, request.name).where}")


def results_fault(run: Any) -> str | None:
    from cifake_ray.evaluation import testing

    return testing.results_fault(run)


def _run_headed(request: Any, number: int, studies: int) -> Any:
    from cifake_ray.tuning.request import run_study

    say(f"\nstudy {number} of {studies}")
    return run_study(request)


def _score(run: Any) -> None:
    test_winners(run)
    print_closing(run.path)


def test_winners(run: Any) -> None:
    """Test what was retrained and is not tested yet; print a line first, as the test takes a while."""
    from cifake_ray.tuning.monitor.phases import note_phase

    if run.winners_file.exists():
        say(f"testing the winners of {run.name}")
        note_phase("testing")
    from cifake_ray.evaluation.testing import score_winners

    score_winners(run)


def _finish(runs: list[Any], out: Path) -> None:
    from cifake_ray.reporting.report import write_report

    for run in runs:
        test_winners(run)
    say("writing the report")
    written = write_report([run.path for run in runs], out)
    print_comparison([run.path for run in runs])
    for run in runs:
        print_closing(run.path)
    print(f"report: {next(path for path in written if path.suffix == '.html').absolute()}")


@app.command(
    short_help="Say what a study would cost on this machine.",
    epilog="Example: cifake-ray plan cnn --data ~/cifake --trials 40",
)
def plan(
    experiment: ExperimentArgument = None,
    data: DataOption = None,
    trials: TrialsOption = None,
    set_: SetOption = None,
    trust: TrustOption = False,
    warm_start: WarmStartOption = None,
    storage: StorageOption = DEFAULT_STORAGE,
    as_json: JsonOption = False,
) -> None:
    """Say what a study would cost on this machine: time a few training steps and compute from them. Runs no trial."""
    from cifake_ray.tuning.estimate.plan import plan_study

    loaded = load_named(experiment, data=data, trials=trials, seed=None, settings=set_ or [], trust=trust)
    planned = plan_study(loaded, _parents(warm_start, storage, loaded))
    print(json.dumps(planned.as_dict(), indent=1) if as_json else "\n".join(plan_lines(planned)))

"""The commands: parse, call one function below, print. Heavy imports stand inside the verbs, so that help is quick."""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cifake_ray import __version__
from cifake_ray.errors import InputError, Interrupted, WorkError

app = typer.Typer(
    name="cifake-ray",
    help="Tune detectors of AI-generated images on CIFAKE (a custom CNN, a frozen ResNet50), on a laptop or a cluster.",
    epilog="First steps: `cifake-ray demo`, then `cifake-ray spaces`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
cache_app = typer.Typer(
    help="List or empty the cache of decoded images, feature sets and weights.", no_args_is_help=True
)
app.add_typer(cache_app, name="cache")

ExperimentArgument = Annotated[
    str | None, typer.Argument(help="YAML file, or the name of a shipped one.", metavar="EXPERIMENT")
]
StorageOption = Annotated[Path, typer.Option(help="Folder that holds the run directories.")]
DataOption = Annotated[
    str | None,
    typer.Option(help="Images: a folder (train/REAL, train/FAKE, test/…), a folder of parquet files, or `sample`."),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the study; the experiment's name by default.")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Override one key, as training.epochs=3. Repeatable.")
]
TrialsOption = Annotated[int | None, typer.Option(help="Number of trials over all resumes.", min=1)]
SeedOption = Annotated[int | None, typer.Option(help="training.seed; the split of the data stays.", min=0)]
AddressOption = Annotated[str | None, typer.Option(help="Ray cluster to run on; a Ray of its own by default.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_STORAGE = Path("results/runs")
_WIDE = 120  # characters that the whole comparison table takes


def main() -> None:
    """Run the command line; errors become one line and an exit code: 0 done, 1 failed, 2 wrong, 130 stopped."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    signal.signal(signal.SIGINT, _interrupt)
    try:
        code = app(arguments, prog_name="cifake-ray", standalone_mode=True)
    except (InputError, WorkError, Interrupted, BrokenPipeError) as error:
        if debug:
            raise
        code = _report_error(error)
    except SystemExit as stop:
        if not isinstance(stop.__context__, BrokenPipeError):  # typer would make it a 1
            raise
        code = _report_error(stop.__context__)
    except Exception as error:
        if debug:
            raise
        text = " ".join(str(error).split())[:300]
        print(f"cifake-ray: unexpected {type(error).__name__}: {text} (--debug shows the traceback)", file=sys.stderr)
        code = 1
    sys.exit(code)


def _interrupt(number: int, frame: Any) -> None:  # noqa: ARG001
    """Ctrl-C where nothing handles it better; typer would make code 1 of a KeyboardInterrupt."""
    raise Interrupted("interrupted")


def _report_error(error: BaseException) -> int:
    """Print the error's one line; returns the exit code."""
    if isinstance(error, BrokenPipeError):  # `cifake-ray runs | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    print(f"cifake-ray: {error}", file=sys.stderr)
    return 2 if isinstance(error, InputError) else 1 if isinstance(error, WorkError) else 130


def _version(wanted: bool) -> None:
    if wanted:
        print(f"cifake-ray {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    """Options of every command."""


@app.command(epilog="Example: cifake-ray demo")
def demo(
    storage: StorageOption = DEFAULT_STORAGE,
    trials: TrialsOption = None,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/demo"),
) -> None:
    """Tune both models on the built-in generated sample, then report. Nothing is downloaded; about two minutes."""
    from cifake_ray.experiment import load_experiment
    from cifake_ray.run import free_name
    from cifake_ray.tuning.study import StudyRequest, check_new_study, ray_session, run_study

    settings = [] if trials is None else [f"search.trials={trials}"]
    experiments = [load_experiment(path, settings) for path in _shipped() if path.parent.name == "demo"]
    requests = [StudyRequest(loaded, storage, free_name(storage, loaded.name)) for loaded in experiments]
    for request in requests:
        check_new_study(request)
    print("The sample is generated: its figures show that the program works and are no measure of CIFAKE.", flush=True)
    with ray_session(None, experiments[0]):
        runs = [run_study(request) for request in requests]
    _finish(runs, out)


@app.command(
    epilog="Example: cifake-ray tune search_spaces/cnn.yaml --data ~/cifake --trials 10 --set training.epochs=5"
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
    resume: Annotated[str | None, typer.Option(metavar="STUDY", help="Go on with this study, or extend it.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check everything, print what would run, run nothing.")
    ] = False,
) -> None:
    """Tune a model: run the trials of an experiment, retrain the winner and the baseline, test both.

    Ctrl-C once saves and says how to resume; twice stops at once.
    """
    from cifake_ray.evaluation.score import score_winners
    from cifake_ray.tuning.study import StudyRequest, check_new_study, resumed_request, run_study

    if resume is not None:
        if experiment is not None or any(option is not None for option in (name, data, seed, set_)):
            raise InputError(
                "tune --resume takes --storage, --trials and --address only: the run has its own experiment"
            )
        request = resumed_request(storage, resume, trials, address)
    else:
        loaded = _load(experiment, data=data, trials=trials, seed=seed, settings=set_ or [])
        request = StudyRequest(loaded, storage, name or loaded.name, address=address)
        check_new_study(request)
    if dry_run:
        _print_plan(request)
        return
    run = run_study(request)
    score_winners(run)
    _print_table([run.path])


@app.command(epilog="Example: cifake-ray train search_spaces/cnn.yaml --set training.lr=3e-3 --workers 2")
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
) -> None:
    """Train one configuration and test it: a run like any other, with one trial."""
    from cifake_ray.evaluation.score import score_winners
    from cifake_ray.tuning.single import best_of_run, single_trial
    from cifake_ray.tuning.study import StudyRequest, check_new_study, run_study

    is_run = (Path(what) / "experiment.yaml").is_file()
    loaded = (
        best_of_run(Path(what), data=data, seed=seed, settings=set_ or [])
        if is_run
        else _load(what, data=data, trials=None, seed=seed, settings=set_ or [])
    )
    loaded = single_trial(loaded, workers)
    request = StudyRequest(loaded, storage, name or f"{loaded.name}-train", address=address)
    check_new_study(request, searching=False)
    run = run_study(request)
    score_winners(run)
    _print_table([run.path])


@app.command(epilog="Example: cifake-ray report results/runs/* --out results/report")
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/report"),
) -> None:
    """Compile runs into comparison.md, comparison.csv, plots and report.html. Reads run directories only."""
    from cifake_ray.reporting.report import write_report

    written = write_report(runs, out)
    _print_table(runs)
    print(f"report: {next(path for path in written if path.suffix == '.html')}")


@app.command(epilog="Example: cifake-ray evaluate results/runs/cnn --data ~/other-generator")
def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.")],
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run's best model on the test part of its own images, or of other labelled ones."""
    from cifake_ray.evaluation.score import evaluate_run
    from cifake_ray.run import Run

    result = evaluate_run(Run(run), data)
    if as_json:
        print(json.dumps(result, indent=1))
        return
    generated = ", generated: no measure of CIFAKE" if result["generated"] else ""
    about = f"{result['test_images']:,} test images{generated}; weights {result['weights']}"
    print(f"{result['run']} on {result['data']} ({about})")
    for key, label in (("accuracy", "accuracy"), ("auc", "AUC"), ("f1_fake", "F1 (FAKE)"), ("ece", "ECE")):
        whole, fresh = result["test"][key], result["test_dedup"][key]
        print(f"  {label:10} {_interval(whole)}   without train duplicates {_interval(fresh)}")
    print(f"  {result['duplicates_removed']} test images equal a train image. {result['method']}")


@app.command(epilog="Example: cifake-ray predict results/runs/cnn photo.jpg other.png")
def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Run directory.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    as_json: JsonOption = False,
) -> None:
    """Say REAL or FAKE of image files, with the probability of FAKE and how far they are from CIFAKE's images."""
    from cifake_ray.evaluation.predict import predict_files
    from cifake_ray.run import Run

    results = predict_files(Run(run), images)
    if as_json:
        print(json.dumps(results, indent=1))
        return
    for result in results:
        remarks = f"  ({'; '.join(result['remarks'])})" if result["remarks"] else ""
        print(f"{result['label']}  p(FAKE) {result['p_fake']:.3f}  {result['file']}{remarks}")


@app.command(epilog="Example: cifake-ray spaces")
def spaces(as_json: JsonOption = False) -> None:
    """List the experiments that ship with the program."""
    from cifake_ray.experiment import load_experiment

    found = [(path, load_experiment(path)) for path in _shipped()]
    rows = [
        {"name": loaded.name, "model": loaded.model.kind, "searched": list(loaded.search_space)}
        | {"trials": loaded.search.trials, "file": os.path.relpath(path)}
        for path, loaded in found
    ]
    _print_rows(rows, as_json)


@app.command(epilog="Example: cifake-ray runs --storage results/runs")
def runs(storage: StorageOption = DEFAULT_STORAGE, as_json: JsonOption = False) -> None:
    """List the runs in a storage folder with their trials and best validation accuracy."""
    from cifake_ray.reporting.load import summarise_runs

    rows = json.loads(summarise_runs(storage).to_json(orient="records"))
    if not rows and not as_json:
        print(f"no runs in {storage}")
        return
    _print_rows(rows, as_json)


@app.command(epilog="Example: cifake-ray doctor --data ~/cifake")
def doctor(storage: StorageOption = DEFAULT_STORAGE, data: DataOption = None, as_json: JsonOption = False) -> None:
    """Check this machine: versions, cores, threads, memory, cache, storage, data; each problem with its cure."""
    from dataclasses import asdict

    from cifake_ray.doctor import run_checks

    checks = run_checks(storage, data or os.environ.get("CIFAKE_RAY_DATA"))
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            print(f"{check.level:5}  {check.name}: {check.found}{f'; {check.cure}' if check.level != 'green' else ''}")
    if any(check.level == "red" for check in checks):
        raise WorkError("a check is red")


@cache_app.command("ls", epilog="Example: cifake-ray cache ls")
def cache_ls(as_json: JsonOption = False) -> None:
    """List what is cached: decoded images, feature sets, weights."""
    from cifake_ray.cache import cache_root, list_entries

    rows = [
        {"kind": kind, "MB": round(size / 1e6, 1), "entry": str(path.relative_to(cache_root()))}
        for kind, path, size in list_entries()
    ]
    _print_rows(rows, as_json)
    if not as_json:
        print(f"{cache_root()}: {sum(row['MB'] for row in rows):,.1f} MB")  # type: ignore[misc]


@cache_app.command("clear", epilog="Example: cifake-ray cache clear --kind features")
def cache_clear(
    kind: Annotated[str | None, typer.Option(help="images, features or weights; all by default.")] = None,
) -> None:
    """Empty the cache; everything in it is made again when it is needed."""
    from cifake_ray.cache import cache_root, clear_entries

    if kind not in (None, "images", "features", "weights"):
        raise InputError(f"--kind {kind}: expected images, features or weights")
    print(f"{cache_root()}: freed {clear_entries(kind) / 1e6:,.1f} MB")


# --- what the verbs share -----------------------------------------------------------------------------------------


def _load(name: str | None, *, data: str | None, trials: int | None, seed: int | None, settings: list[str]) -> Any:
    """The experiment with, in rising precedence: YAML, environment, --set, options."""
    from cifake_ray.experiment import load_experiment

    if name is None:
        raise InputError("an EXPERIMENT is missing; `cifake-ray spaces` lists the ones that ship with the program")
    environment = os.environ.get("CIFAKE_RAY_DATA")
    options = {"data.source": data, "search.trials": trials, "training.seed": seed}
    overrides = [f"data.source={json.dumps(environment)}"] if environment else []
    overrides += [*settings, *(f"{key}={json.dumps(value)}" for key, value in options.items() if value is not None)]
    path = Path(name)
    if not path.exists():
        path = next((shipped for shipped in _shipped() if name in (shipped.stem, str(shipped.name))), path)
    return load_experiment(path, overrides)


def _shipped() -> list[Path]:
    """The YAML files that ship with the program: inside the wheel, or beside the package in a checkout."""
    here = Path(__file__).parent
    folder = here / "search_spaces" if (here / "search_spaces").is_dir() else here.parent / "search_spaces"
    return sorted(folder.rglob("*.yaml"), key=lambda path: (len(path.parts), path))


def _print_plan(request: Any) -> None:
    from cifake_ray.data.sources import find_source
    from cifake_ray.experiment import save_experiment
    from cifake_ray.tuning.study import planned_concurrency

    find_source(request.experiment.data.source)
    places = planned_concurrency(request.experiment)
    print(save_experiment(request.experiment), end="")
    trials = request.experiment.search.trials
    print(f"# valid; would run {trials} trials, {places} at once, in {request.storage / request.name}")


def _finish(runs: list[Any], out: Path) -> None:
    from cifake_ray.evaluation.score import score_winners
    from cifake_ray.reporting.report import write_report

    for run in runs:
        score_winners(run)
    written = write_report([run.path for run in runs], out)
    _print_table([run.path for run in runs])
    print(f"report: {next(path for path in written if path.suffix == '.html').absolute()}")


def _print_table(runs: list[Path]) -> None:
    """The comparison table of these runs, with its notes; a narrow terminal gets fewer columns."""
    from rich.console import Console

    from cifake_ray.reporting.report import load_all
    from cifake_ray.reporting.tables import comparison_table
    from cifake_ray.reporting.text import short_notes, terminal_table

    studies = load_all(runs)
    table = comparison_table(studies)
    columns, rows = terminal_table(table)
    if Console().is_terminal and Console().width < _WIDE:
        kept = [index for index, column in enumerate(columns) if column not in ("model", "gap", "AUC", "core-s")]
        columns, rows = [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]
    _print_rich(columns, rows)
    for note in short_notes(studies, table):
        print(f"  {note}")


def _print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
    elif rows:
        _print_rich(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def _print_rich(columns: list[str], rows: list[list[str]]) -> None:
    """A table as wide as the terminal; where the output is no terminal, as wide as its cells."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console() if Console().is_terminal else Console(width=1000)
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _interval(metric: dict[str, float]) -> str:
    return f"{metric['value']:.4f} [{metric['low']:.4f}, {metric['high']:.4f}]"

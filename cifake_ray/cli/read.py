"""Commands that read what is there: report, evaluate, predict, spaces, runs."""

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from cifake_ray.cli.app import (
    DEFAULT_STORAGE,
    AlphaOption,
    DataOption,
    DataSetOption,
    JsonOption,
    RunArgument,
    StorageOption,
    TrustOption,
    WideOption,
    app,
)
from cifake_ray.cli.find import experiment_about, experiment_text, find_experiment, shipped_experiments
from cifake_ray.cli.show import (
    backbone_of,
    print_comparison,
    print_evaluation,
    print_robustness,
    print_rows,
    run_row,
    trained_on,
)
from cifake_ray.cli.verdicts import print_calibration, print_prediction
from cifake_ray.errors import InputError, WorkError


@app.command(
    short_help="Compile runs into a page, tables and plots.",
    epilog="Example: cifake-ray report results/runs/* --out results/report",
)
def report(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Runs: names, folders, addresses or jobs.")],
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path("results/report"),
    storage: StorageOption = DEFAULT_STORAGE,
    images: Annotated[
        bool, typer.Option("--images/--no-images", help="Whether pictures of the data set may be in the page.")
    ] = True,
    with_runs: Annotated[
        bool, typer.Option("--with-runs", help="Also copy the files that the figures follow from, to be committed.")
    ] = False,
) -> None:
    """Compile runs into comparison.md, comparison.csv, plots and report.html. Reads run directories only."""
    from cifake_ray.reporting.load import readable_runs
    from cifake_ray.reporting.report import write_report
    from cifake_ray.runs.names import find_run

    paths, faults = readable_runs([find_run(run, storage).path for run in runs])
    written = write_report(paths, out, images=images, with_runs=with_runs)
    print_comparison(paths)
    print(f"report: {next(path for path in written if path.suffix == '.html').absolute()}")
    if faults:
        raise WorkError(f"{len(faults)} of {len(runs)} runs left out of the report: {'; '.join(faults)}")


@app.command(
    short_help="Score a run's best model on labelled images.",
    epilog="Example: cifake-ray evaluate results/runs/cnn --data ~/other-generator",
)
def evaluate(
    run: RunArgument,
    data: DataOption = None,
    storage: StorageOption = DEFAULT_STORAGE,
    robustness: Annotated[
        bool, typer.Option("--robustness", help="Score degraded test images (JPEG, blur, noise, scaling) instead.")
    ] = False,
    set_: DataSetOption = None,
    limit: Annotated[int | None, typer.Option(help="With --robustness: only so many test images.", min=20)] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Draw the largest errors among the test images, with Grad-CAM.")
    ] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="COLUMN", help="Also score each group, as --by generator.")
    ] = None,
    trust: TrustOption = False,
    alpha: AlphaOption = 0.01,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Fit verdicts on the run's own validation images, into best/, instead.")
    ] = False,
    calibrate_on: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="With --data: fit verdicts on these labelled images, and compare."),
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="With --calibrate-on: best/ gets these verdicts too.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a run's best model on the test part of its own images, or of other labelled ones.

    Results of --data, --robustness, --explain and --calibrate are written into the run, and `report` shows them.
    """
    from cifake_ray.data import check_images_here
    from cifake_ray.data.sources.reading import reading_from
    from cifake_ray.runs.names import find_run

    _check_as_they_are(data, set_, by, other=robustness or explain or calibrate)
    _check_calibration(data, calibrate_on, other=robustness or explain, calibrate=calibrate, keep=keep)
    found = find_run(run, storage).trusting(trust)
    if data is None:
        check_images_here(found, found.experiment())  # refused at once: what follows loads torch
    if calibrate:
        _calibrate(found, data, alpha, as_json=as_json)
        return
    if robustness or explain:
        _look_closer(found, data, robustness=robustness, explain=explain, limit=limit, as_json=as_json)
        return

    from cifake_ray.evaluation.evaluate import evaluate_run

    reading = reading_from(set_) if set_ else None
    result = evaluate_run(found, data, reading, by, alpha=alpha, calibrate_on=calibrate_on, keep=keep)
    if as_json:
        print(json.dumps(result.as_json(), indent=1))
        return
    print_evaluation(result)


def _check_as_they_are(data: str | None, set_: list[str] | None, by: str | None, *, other: bool) -> None:
    """Raise InputError for options about images as they are. other: --robustness, --explain or --calibrate is given."""
    if set_ and (data is None or other):
        raise InputError(
            "--set says how to read the images of --data, which are scored as they are", "add --data SOURCE"
        )
    if by is not None and other:
        raise InputError(
            "--by scores groups of images as they are", "call evaluate without --robustness, --explain and --calibrate"
        )


def _check_calibration(data: str | None, calibrate_on: str | None, *, other: bool, calibrate: bool, keep: bool) -> None:
    """Raise InputError for options that do not go together. other: --robustness or --explain is given."""
    if calibrate and (calibrate_on is not None or other):
        raise InputError("--calibrate fits verdicts on the run's own validation images", "give no other option with it")
    if calibrate_on is not None and (data is None or other):
        raise InputError("--calibrate-on is judged on the images of --data", "add --data SOURCE, and nothing else")
    if keep and calibrate_on is None:
        raise InputError("--keep puts what --calibrate-on fits into best/", "add --calibrate-on SOURCE")


def _calibrate(run: Any, data: str | None, alpha: float, *, as_json: bool) -> None:
    from cifake_ray.evaluation.calibration import calibrate_run

    decision, verdicts = calibrate_run(run, data, alpha)
    if as_json:
        print(json.dumps({"decision": decision.as_json(), "verdicts": verdicts.as_json()}, indent=1))
        return
    print_calibration(decision, verdicts, alpha)


def _look_closer(
    run: Any, data: str | None, *, robustness: bool, explain: bool, limit: int | None, as_json: bool
) -> None:
    from cifake_ray.evaluation.errors import explain_run
    from cifake_ray.evaluation.robustness import measure_robustness

    measured = measure_robustness(run, data, limit) if robustness else None
    explained = explain_run(run, data) if explain else None
    if as_json:
        found = {"robustness": measured, "explain": explained}
        print(json.dumps({key: record.as_json() for key, record in found.items() if record}, indent=1))
        return
    if measured:
        print_robustness(measured)
    if explained:
        print(f"{len(explained.images)} pictures in {run.explanations}; `cifake-ray report` shows them")


@app.command(
    short_help="Say of each picture `fake`, `real` or `unsure`.",
    epilog="Example: cifake-ray predict results/runs/cnn photo.jpg other.png",
)
def predict(
    run: RunArgument,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Image files.")],
    storage: StorageOption = DEFAULT_STORAGE,
    trust: TrustOption = False,
    alpha: AlphaOption = 0.01,
    prior: Annotated[
        float, typer.Option(help="Share of FAKE among such pictures: for the probability, not for verdicts.")
    ] = 0.5,
    as_json: JsonOption = False,
) -> None:
    """Say of each picture `fake`, `real` or `unsure`, with the probability of FAKE and the reasons.

    A picture is `unsure` where both labels are plausible or none, and where it is unlike the images that the model was
    validated on. A file that cannot be judged has a line with the reason, and the exit code is 1, or 2 when no file
    could be judged.
    """
    from cifake_ray.detector.predict import predict_files, verdicts_lacking
    from cifake_ray.runs.names import find_run

    judged = failed = 0
    entries = []
    found = find_run(run, storage).trusting(trust)
    for result in predict_files(found, images, alpha, prior):
        judged, failed = judged + ("error" not in result), failed + ("error" in result)
        entries += [result] if as_json else []
        if not as_json:
            print_prediction(result)
    if as_json:
        print(json.dumps(entries, indent=1))
    about = f"{judged:,} judged by {found.name}, trained on {trained_on(found)}{backbone_of(found)}"
    lacking = verdicts_lacking(found, alpha) if judged else []
    print("\n".join([f"{about}; {failed:,} not" if failed else about, *lacking]), file=sys.stderr)
    if failed:
        raise typer.Exit(1 if judged else 2)


@app.command(
    short_help="List the experiments that ship, or print one.", epilog="Example: cifake-ray spaces cnn > mine.yaml"
)
def spaces(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print the YAML of this experiment.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the experiments that ship with the program, or print one, to begin your own with."""
    from cifake_ray.experiment import load_experiment

    if name is not None:
        print(experiment_text(find_experiment(name)), end="")
        return
    found = [(path, load_experiment(path)) for path in shipped_experiments()]
    if as_json:
        rows = [
            {"name": loaded.name, "model": loaded.model.kind, "searched": list(loaded.search_space)}
            | {"trials": loaded.search.trials, "about": experiment_about(path), "file": os.path.relpath(path)}
            for path, loaded in found
        ]
        print(json.dumps(rows, indent=1))
        return
    print_rows([
        {"name": loaded.name, "trials": loaded.search.trials, "about": experiment_about(path)}
        for path, loaded in found
    ], as_json=False)  # fmt: skip


@app.command(short_help="List the runs in a storage folder.", epilog="Example: cifake-ray runs --storage results/runs")
def runs(
    storage: StorageOption = DEFAULT_STORAGE,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the runs in a storage folder: name, state, trials done, best validation accuracy, age."""
    from cifake_ray.reporting.load import summarise_runs

    rows = json.loads(summarise_runs(storage).to_json(orient="records"))
    if not rows and not as_json:
        print(f"no runs in {storage if '://' in storage else Path(storage).absolute()}")
        return
    print_rows(rows if as_json else [run_row(row, wide=wide) for row in rows], as_json)


@app.command(short_help="Show a run in optuna-dashboard.", epilog="Example: cifake-ray dashboard results/runs/cnn")
def dashboard(
    run: RunArgument,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1; 0 takes a free one.", min=0, max=65535)] = 8080,
    storage: StorageOption = DEFAULT_STORAGE,
) -> None:
    """Show a run's Optuna study in optuna-dashboard, also while the study runs. Reads only; Ctrl-C ends the server.

    A run in object storage is shown as it was when the server started.
    """
    from cifake_ray.errors import Interrupted
    from cifake_ray.reporting.dashboard import dashboard_server
    from cifake_ray.runs.names import find_run

    with contextlib.suppress(Interrupted), dashboard_server(find_run(run, storage), port) as server:
        print(f"http://127.0.0.1:{server.server_port}/dashboard  ({run}; Ctrl-C ends it)", flush=True)
        server.serve_forever()

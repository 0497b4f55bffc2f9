"""Commands about a Ray cluster: submit, status, logs, stop."""

import json
import shlex
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from cifake_ray.cli.app import (
    DEFAULT_STORAGE,
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
    WideOption,
    app,
)
from cifake_ray.cli.find import load_new
from cifake_ray.cli.show import print_rows
from cifake_ray.console import duration
from cifake_ray.errors import InputError, Interrupted, WorkError

ClusterOption = Annotated[
    str | None,
    typer.Option(help="The cluster's dashboard, as http://HOST:8265; RAY_API_SERVER_ADDRESS or RAY_ADDRESS otherwise."),
]
JobArgument = Annotated[str, typer.Argument(metavar="JOB", help="Job id, or the name of the study.")]
_STATUS_WORDS = {"running": "running", "stopped": "stopped early", "failed": "failed"}  # a job is stopped by hand
_SHOWN = 20  # jobs in the table of `status`


@app.command(
    short_help="Tune on a Ray cluster, as a job.",
    epilog="Example: cifake-ray submit cnn --data /shared/cifake --storage /shared/runs --follow",
)
def submit(
    experiment: ExperimentArgument = None,
    name: NameOption = None,
    storage: StorageOption = DEFAULT_STORAGE,
    data: DataOption = None,
    trials: TrialsOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    address: ClusterOption = None,
    resume: ResumeOption = None,
    warm_start: WarmStartOption = None,
    dry_run: DryRunOption = False,
    follow: Annotated[bool, typer.Option("--follow", help="Print the job's log until it ends.")] = False,
    trust: TrustOption = False,
) -> None:
    """Tune on a Ray cluster: run as a job what `tune` runs here. Ctrl-C ends --follow, not the job.

    The token is found as Ray finds it: RAY_AUTH_TOKEN, RAY_AUTH_TOKEN_PATH or ~/.ray/auth_token.
    """
    from cifake_ray.experiment import save_experiment
    from cifake_ray.jobs.client import connect
    from cifake_ray.jobs.package import build_package
    from cifake_ray.jobs.submit import Submission, ask_cluster, check_submission, send
    from cifake_ray.jobs.watch import find_job
    from cifake_ray.tuning.ray_cluster.capacity import Capacity

    loaded = load_new(
        resume,
        experiment,
        name=name,
        data=data,
        trials=trials,
        seed=seed,
        settings=set_ or [],
        trust=trust,
        warm_start=warm_start,
    )
    place = storage.rstrip("/") or "/"
    if loaded is None:
        above, _, study = str(resume).rstrip("/").rpartition("/")
        submission = Submission(study, above or place, trials=trials, data=data, trust=trust)
    else:
        submission = Submission(name or loaded.name, place, loaded, parents=tuple(warm_start or ()))
        Capacity(loaded)
    check_submission(submission)
    cluster = connect(address)
    answer = ask_cluster(cluster, submission)
    if loaded is not None:
        Capacity(loaded, [{"CPU": node.cpus, "GPU": node.gpus} for node in answer.nodes], own=False)
    _print_answer(cluster, answer)
    with tempfile.TemporaryDirectory(prefix="cifake-ray-") as folder:
        package = build_package(Path(folder), loaded)
        print(f"package: {package.files} files, {package.size / 1e6:.1f} MB", flush=True)
        if dry_run:
            print("" if loaded is None else save_experiment(loaded), end="")
            print(f"# valid; would run on that cluster, in {submission.run}: {submission.entrypoint}")
            return
        job = find_job(cluster, send(cluster, submission, package))
    _print_next(cluster, job, address)
    if follow:
        _follow(cluster, job)


@app.command(short_help="Show how far the studies on a cluster are.", epilog="Example: cifake-ray status")
def status(
    job: Annotated[str | None, typer.Argument(metavar="JOB", help="Job id or study; without it every job.")] = None,
    address: ClusterOption = None,
    wide: WideOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show how far the studies on a cluster are; with JOB, every trial of one study."""
    from cifake_ray.jobs.client import connect
    from cifake_ray.jobs.watch import find_job, study_jobs, with_progress, with_trials

    cluster = connect(address)
    if job is not None:
        found = with_trials(cluster, find_job(cluster, job))
        if as_json:
            print(json.dumps(found.as_row(), indent=1))
        else:
            print_rows([_job_row(found, wide=wide)], as_json=False)
            metric = found.progress.get("metric")
            print_rows([_trial_row(trial, metric) for trial in found.trials], as_json=False)
            _print_failures([found])
        return
    jobs = study_jobs(cluster)
    shown = [with_progress(cluster, each) for each in (jobs if as_json else jobs[-_SHOWN:])]
    if as_json:
        rows = [each.as_row() for each in shown]
        print(json.dumps([{key: value for key, value in row.items() if key != "trials"} for row in rows], indent=1))
        return
    print_rows([_job_row(each, wide=wide) for each in shown], as_json=False)
    _print_failures(shown)
    if not jobs:
        print(f"no studies on {cluster.url}")
    elif len(jobs) > len(shown):
        print(f"{len(jobs) - len(shown)} older studies are left out; --json has all")


@app.command(short_help="Print the log of a study's job.", epilog="Example: cifake-ray logs JOB -f")
def logs(
    job: JobArgument,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Follow until the job ends.")] = False,
    address: ClusterOption = None,
) -> None:
    """Print the log of a study's job. Ctrl-C ends -f, not the job."""
    from cifake_ray.jobs.client import connect
    from cifake_ray.jobs.watch import find_job, log_lines

    cluster = connect(address)
    found = find_job(cluster, job)
    if follow:
        _follow(cluster, found)
        return
    for line in log_lines(cluster, found):
        print(line)


@app.command(short_help="Stop a study's job, which saves everything first.", epilog="Example: cifake-ray stop JOB")
def stop(job: JobArgument, address: ClusterOption = None) -> None:
    """Stop a study's job, which saves everything first, and print how to resume the study."""
    from cifake_ray.jobs.client import connect
    from cifake_ray.jobs.watch import find_job, stop, with_progress

    cluster = connect(address)
    found = find_job(cluster, job)
    if found.ended:
        print(f"{found.id}: ended before ({found.state})")
        return
    print(f"stopping {found.id}; it saves what it has", file=sys.stderr, flush=True)
    ended = with_progress(cluster, stop(cluster, found))
    print(f"{found.id}: {ended.state}; {_how_to_resume(ended)}")


def _follow(cluster: Any, job: Any) -> None:
    """Print the job's log until the job ends; raise the job's failure as this command's own."""
    from cifake_ray.jobs.watch import follow, with_progress

    ended = with_progress(cluster, follow(cluster, job, lambda line: print(line, flush=True)))
    if ended.ended_well:
        return
    what, cure = f"job {job.id} {ended.state}", _how_to_resume(ended)
    if ended.state == "stopped":
        raise Interrupted(f"{what}; {cure}")
    raise InputError(what, cure) if ended.exit_code == 2 else WorkError(f"{what}; {cure}")


def _print_answer(cluster: Any, answer: Any) -> None:
    versions = answer.nodes[0].facts["versions"]
    shown = ", ".join(f"{key} {versions[key]}" for key in ("python", "ray", "torch", "optuna"))
    print(f"cluster {cluster.url}: {len(answer.nodes)} nodes with {shown} (answered in {answer.seconds:.1f} s)")


def _print_next(cluster: Any, job: Any, address: str | None) -> None:
    more = "" if address is None else f" --address {address}"
    print(f"job {job.id} was submitted")
    print(f"  dashboard  {cluster.url}/#/jobs/{job.id}")
    for what in (f"status {job.id}", f"logs {job.id} -f", f"stop {job.id}"):
        print(f"  {what.split()[0]:9}  cifake-ray {what}{more}")
    print(f"  resume     {_resume(job)}{more}   # after it was stopped, killed or lost", flush=True)


def _resume(job: Any) -> str:
    place = ["--storage", job.storage] if job.storage else []
    return shlex.join(["cifake-ray", "submit", "--resume", job.study, *place])


def _how_to_resume(job: Any) -> str:
    """How to resume. A run exists once its driver reported anything, or if the job resumed one (without experiment)."""
    if job.progress or not job.experiment:
        return f"{'' if job.progress else f'{job.reason[:300]}; '}resume with: {_resume(job)}"
    return f"the study had not begun ({job.reason[:300]})"


def _print_failures(jobs: list[Any]) -> None:
    for job in jobs:
        if job.state == "failed":
            print(f"{job.id}: {_how_to_resume(job)}; its log: cifake-ray logs {job.id}")


def _job_row(job: Any, *, wide: bool = False) -> dict[str, Any]:
    """A study's job as a row of `status`: what fits 80 columns, or (`wide`) all."""
    progress = job.progress
    trials = progress.get("trials", {})
    phase = progress.get("phase") if job.state == "running" else None
    best = progress.get("best") or {}
    left = job.seconds_left
    row = {
        "job": job.id,
        "state": phase or job.state,
        "done": f"{progress['finished']}/{progress['total']}" if trials else "",
        "best": _value(best.get("value"), progress.get("metric")),
        "elapsed": duration(job.seconds),
        "left": "" if left is None else duration(left),
    }
    if not wide:
        return row
    counts = {word: trials.get(status, "") for status, word in _STATUS_WORDS.items()}
    return row | {"experiment": progress.get("experiment", job.experiment), **counts}


def _trial_row(trial: dict[str, Any], metric: str | None) -> dict[str, Any]:
    settings = " ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in trial["params"].items()
        if value is not None
    )
    status = _STATUS_WORDS.get(trial["status"], trial["status"])
    about = {"trial": trial["trial_id"], "status": status, "epochs": trial["epochs"]}
    return about | {"best": _value(trial["best"], metric), "settings": settings, "error": trial["error"]}


def _value(value: float | None, metric: str | None) -> str:
    """A value of the metric that the job names, as people read it; of a metric unknown here as a number."""
    from cifake_ray.experiment import Metric

    if value is None or metric not in set(Metric):
        return "" if value is None else f"{value:.4f}"
    return Metric(metric).shown(value)

"""Commands that print a file for another program: render rayjob, render raycluster."""

import shlex
import sys
from typing import Annotated

import typer

from cifake_ray.cli.app import (
    DataOption,
    ExperimentArgument,
    NameOption,
    SeedOption,
    SetOption,
    TrialsOption,
    TrustOption,
    app,
)
from cifake_ray.cli.find import load_named
from cifake_ray.errors import InputError

render_app = typer.Typer(help="Print a Kubernetes manifest: one study, or a cluster.", no_args_is_help=True)
app.add_typer(render_app, name="render")

ImageOption = Annotated[str | None, typer.Option(help="Image of all pods; the one cluster/docker builds by default.")]
WorkersOption = Annotated[int, typer.Option(help="Number of worker pods.", min=1)]
CpusOption = Annotated[int | None, typer.Option(help="CPUs of a worker pod; from the experiment by default.", min=1)]
GpusOption = Annotated[int | None, typer.Option(help="GPUs of a worker pod; from the experiment by default.", min=0)]
MemoryOption = Annotated[int | None, typer.Option("--memory-gib", help="Memory of a worker pod in GiB.", min=1)]
ClaimOption = Annotated[
    str | None, typer.Option(help="Persistent volume claim mounted at /shared; cifake-ray-shared by default.")
]
AccountOption = Annotated[str | None, typer.Option(help="Service account that may use the bucket.")]


@render_app.command(
    epilog="Example: cifake-ray render rayjob cnn --storage /shared/runs --data /shared/cifake | kubectl apply -f -"
)
def rayjob(
    experiment: ExperimentArgument = None,
    name: NameOption = None,
    storage: Annotated[str | None, typer.Option(help="/shared/… on the claim, or s3://…, gs://….")] = None,
    data: DataOption = None,
    trials: TrialsOption = None,
    seed: SeedOption = None,
    set_: SetOption = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume the study of this name.")] = False,
    trust: TrustOption = False,
    image: ImageOption = None,
    workers: WorkersOption = 2,
    cpus_per_worker: CpusOption = None,
    gpus_per_worker: GpusOption = None,
    memory_gib: MemoryOption = None,
    claim: ClaimOption = None,
    service_account: AccountOption = None,
) -> None:
    """Print the RayJob that runs a study on a cluster of its own and removes the cluster afterwards."""
    from cifake_ray.jobs.manifest import PodOptions, render_rayjob

    loaded = load_named(experiment, data=data, trials=trials, seed=seed, settings=set_ or [], trust=trust)
    if storage is None:
        raise InputError(
            "--storage is missing", "name where pods write the run: /shared/… on the claim, s3://… or gs://…"
        )
    asked = PodOptions(image, workers, cpus_per_worker, gpus_per_worker, memory_gib, claim, service_account)
    study = name or loaded.name
    text = render_rayjob(
        loaded, name=study, storage=storage, asked=asked, resume=resume, trust=trust, header=_command()
    )
    print(text, end="")


@render_app.command(epilog="Example: cifake-ray render raycluster --workers 4 | kubectl apply -f -")
def raycluster(
    name: Annotated[str, typer.Option(help="Name of the cluster.")] = "cifake-ray",
    image: ImageOption = None,
    workers: WorkersOption = 2,
    cpus_per_worker: CpusOption = None,
    gpus_per_worker: GpusOption = None,
    memory_gib: MemoryOption = None,
    claim: ClaimOption = None,
    service_account: AccountOption = None,
) -> None:
    """Print a RayCluster that stays, for `cifake-ray submit`: CPU workers, with --gpus-per-worker GPU workers too."""
    from cifake_ray.jobs.manifest import PodOptions, render_raycluster

    asked = PodOptions(image, workers, cpus_per_worker, gpus_per_worker, memory_gib, claim, service_account)
    print(render_raycluster(name=name, asked=asked, header=_command()), end="")


def _command() -> str:
    """This command in one line, for the head of the manifest."""
    return " ".join(shlex.join(["cifake-ray", *sys.argv[1:]]).split())

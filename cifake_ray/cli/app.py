"""The program and the options that several commands take."""

from typing import Annotated

import typer

from cifake_ray import __version__

app = typer.Typer(
    name="cifake-ray",
    help="Tune detectors of AI-generated images, compare them, use the best; on a laptop or a Ray cluster.",
    epilog="First steps: `cifake-ray demo`; on your images `doctor`, `plan`, `tune`, `report`, `predict`.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


ExperimentArgument = Annotated[
    str | None, typer.Argument(help="YAML file, or the name of a shipped one.", metavar="EXPERIMENT")
]
RunArgument = Annotated[str, typer.Argument(metavar="RUN", help="A run: its name, folder, address, or job.")]
StorageOption = Annotated[str, typer.Option(help="Where the runs are: a folder, s3://bucket/prefix or gs://….")]
DataOption = Annotated[
    str | None,
    typer.Option(
        help="Images: folder, zip or tar (train/REAL, test/FAKE, …), parquet, manifest.csv, s3://…, or `sample` or "
        "`sample-native`."
    ),
]
NameOption = Annotated[str | None, typer.Option(help="Name of the study; the experiment's name by default.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="Override one key, as training.epochs=3. data.limit=N takes N train and N/4 test images. Repeatable.",
    ),
]
DataSetOption = Annotated[
    list[str] | None,
    typer.Option("--set", help="How to read the images, as data.labels={fake: [sdxl], real: [human]}. Repeatable."),
]
TrialsOption = Annotated[int | None, typer.Option(help="Number of trials over all resumes.", min=1)]
SeedOption = Annotated[
    int | None,
    typer.Option(help="Seed of training (training.seed); the split into train and validation stays the same.", min=0),
]
AddressOption = Annotated[str | None, typer.Option(help="Ray cluster to run on; by default a local one is started.")]
WarmStartOption = Annotated[
    list[str] | None,
    typer.Option(
        "--warm-start", metavar="RUN",
        help="Begin with what this earlier study found: its trials are known to the sampler where these are trainings "
        "of the new study too, else its five best are tried first. Repeatable.",
    ),
]  # fmt: skip
ResumeOption = Annotated[str | None, typer.Option(metavar="STUDY", help="Resume or extend this study.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Check everything, print what would run, run nothing.")]
TrustOption = Annotated[
    bool, typer.Option("--trust", help="Run the Python file in a run (`kind: python`) although it is not one of yours.")
]
WideOption = Annotated[bool, typer.Option("--wide", help="Every column; the table may be wider than 80 characters.")]
AlphaOption = Annotated[
    float, typer.Option(help="Share of the pictures of a class for which a verdict may be the other class.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_STORAGE = "results/runs"


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

"""The command that averages models of several studies: blend."""

from typing import Annotated

import typer

from cifake_ray.cli.app import DEFAULT_STORAGE, DataOption, StorageOption, TrustOption, app


@app.command(
    short_help="Average the best models of several studies.", epilog="Example: cifake-ray blend cnn resnet50 --name mix"
)
def blend(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Studies: names, folders, addresses or jobs.")],
    name: Annotated[str, typer.Option(help="Name of the blend's run.")],
    storage: StorageOption = DEFAULT_STORAGE,
    data: DataOption = None,
    trust: TrustOption = False,
) -> None:
    """Average the best models of several studies: choose weights on the validation part, test the blend once.

    The studies must have the same images and the same split. The blend is a run of its own, with copies of the models.
    """
    from cifake_ray.runs.names import find_run

    found = [find_run(run, storage).trusting(trust) for run in runs]
    from cifake_ray.cli.show import print_closing
    from cifake_ray.evaluation.blend import blend_runs

    print_closing(blend_runs(found, storage, name, data).path)

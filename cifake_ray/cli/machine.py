"""Commands about this machine: doctor, cache."""

import json
import os
from typing import Annotated

import typer

from cifake_ray.cli.app import (
    DEFAULT_STORAGE,
    DataOption,
    ExperimentArgument,
    JsonOption,
    SetOption,
    StorageOption,
    app,
)
from cifake_ray.cli.find import load_named
from cifake_ray.cli.show import from_left, print_rows
from cifake_ray.errors import InputError, WorkError, nearest

cache_app = typer.Typer(help="List or empty the cache of images, features and weights.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")
_SOURCE_WIDTH = 24  # characters of a source in a table on a terminal


@app.command(
    short_help="Check this machine, the images, a cluster.", epilog="Example: cifake-ray doctor --data ~/cifake"
)
def doctor(
    experiment: ExperimentArgument = None,
    storage: StorageOption = DEFAULT_STORAGE,
    data: DataOption = None,
    set_: SetOption = None,
    address: Annotated[
        str | None, typer.Option(help="Check this cluster too: HOST:PORT, or http://HOST:PORT of its dashboard.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check this machine, the images of EXPERIMENT or --data, a cluster's nodes with --address; cures beside problems.

    That is: versions, cores, threads, memory, cache, storage, data, token, dashboard, clusters that could be confused.
    """
    from dataclasses import asdict

    from cifake_ray.data.sources.reading import reading_from, reading_of
    from cifake_ray.doctor import run_checks

    if experiment is None:
        source, reading = data or os.environ.get("CIFAKE_RAY_DATA"), reading_from(set_ or [])
    else:
        loaded = load_named(experiment, data=data, trials=None, seed=None, settings=set_ or [])
        source, reading = loaded.data.source, reading_of(loaded.data)
    checks = run_checks(str(storage), source, address, reading)
    if as_json:
        print(json.dumps([asdict(check) for check in checks], indent=1))
    else:
        for check in checks:
            print(f"{check.level:5}  {check.name}: {check.found}{f'; {check.cure}' if check.level != 'green' else ''}")
    if any(check.level == "red" for check in checks):
        raise WorkError("a check is red")


@cache_app.command("ls", epilog="Example: cifake-ray cache ls")
def cache_ls(as_json: JsonOption = False) -> None:
    """List what is cached, by source and weights: images, squares, feature sets; with their last use."""
    from cifake_ray.storage.cache import cache_root, list_sourced, summarise_cache

    if as_json:
        entries = [
            {"kind": kind, "source": source, "MB": round(size / 1e6, 1), "entry": str(path.relative_to(cache_root()))}
            for kind, source, path, size in list_sourced()
        ]
        print(json.dumps(entries, indent=1))
        return
    rows = summarise_cache()
    shown = [
        row
        | {
            "source": from_left(str(row["source"]), _SOURCE_WIDTH),
            "MB": f"{row['MB']:,.1f}",
            "used": _ago(row.pop("days_unused")),
        }
        for row in rows
    ]
    print_rows(shown, as_json=False)
    print(f"{cache_root()}: {sum(row['MB'] for row in rows):,.1f} MB; `cifake-ray cache clear --unused` frees space")


def _ago(days: float) -> str:
    return "today" if days < 1 else f"{days:.0f} days ago"


@cache_app.command("clear", epilog="Example: cifake-ray cache clear --unused")
def cache_clear(
    kind: Annotated[str | None, typer.Option(help="images, squares, features, weights …; all by default.")] = None,
    source: Annotated[str | None, typer.Option(help="Only of these images, as `cache ls --json` names them.")] = None,
    unused: Annotated[bool, typer.Option("--unused", help="Only what was not used for --days.")] = False,
    days: Annotated[float, typer.Option(help="With --unused: how many days.", min=0.001)] = 30.0,
) -> None:
    """Empty the cache. Every entry is made again when needed."""
    from cifake_ray.storage.cache import KINDS, cache_root, clear_entries, summarise_cache

    if kind not in (None, *KINDS):
        raise InputError(f"--kind {kind}: no such kind of entry", f"expected {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    known = {str(row["source"]) for row in summarise_cache()} if source is not None else set()
    if source is not None and source not in known:
        raise InputError(f"--source {source}: nothing of these images is cached", nearest(source, sorted(known)))
    freed = clear_entries(kind, unused_days=days if unused else 0.0, source=source)
    print(f"{cache_root()}: freed {freed / 1e6:,.1f} MB")

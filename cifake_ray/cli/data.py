"""Commands about data sets: fetch, audit."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from cifake_ray.cli.app import DataSetOption, JsonOption, app
from cifake_ray.console import printable
from cifake_ray.errors import InputError

data_app = typer.Typer(help="Fetch CIFAKE, or find out what a data set really holds.", no_args_is_help=True)
app.add_typer(data_app, name="data")
_SHOWN = 3  # examples printed; the JSON has more


@data_app.command("fetch", epilog="Example: cifake-ray data fetch kaggle --to ~/cifake")
def fetch(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="kaggle (the authors' zip) or huggingface (parquet).")
    ] = "kaggle",
    to: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the copy.")] = Path("cifake"),
    as_json: JsonOption = False,
) -> None:
    """Download a published copy of CIFAKE, or resume the download; check its files and that its images are CIFAKE's."""
    from cifake_ray.console import progress
    from cifake_ray.data.datasets.fetch import fetch_copy

    fetched = fetch_copy(name, to.expanduser(), progress)
    if as_json:
        print(fetched.note.read_text(), end="")
        return
    for file in fetched.files:
        print(f"{file['name']}: {file['bytes']:,} bytes, SHA-256 {file['sha256'][:16]}… ({file['checked_against']})")
    print(f"{fetched.images.summary()}; these are CIFAKE's images and labels")
    print(f"noted in {fetched.note}; use it with --data {fetched.source}")


@data_app.command("audit", epilog="Example: cifake-ray data audit ~/cifake --out audit.json")
def audit(
    source: Annotated[
        str | None,
        typer.Argument(metavar="[SOURCE]", help="What --data takes, or any folder of REAL/… and FAKE/…, or one part."),
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the JSON to this file too.")] = None,
    set_: DataSetOption = None,
    as_json: JsonOption = False,
) -> None:
    """Count parts, classes, groups; find duplicates, contradicting labels, damaged files; measure the bias of files.

    With --set data.neutral={quality: [90, 100], size: 512} also the bias that is left after re-encoding.
    """
    from cifake_ray.console import progress
    from cifake_ray.data.audit.audit import audit_source
    from cifake_ray.data.sources.reading import reading_from

    source = source or os.environ.get("CIFAKE_RAY_DATA")
    if source is None:
        raise InputError("a SOURCE is missing", "give what --data takes, or set CIFAKE_RAY_DATA")
    if out is not None:
        _write(out, "", "a")  # a file that cannot be written is refused before the work, not after
    found = audit_source(source, progress, reading_from(set_ or []))
    text = json.dumps(found, indent=1)
    if out is not None:
        _write(out, text + "\n", "w")
    if as_json:
        print(text)
        return
    for line in _lines(found):
        print(line)
    if out is not None:
        print(f"written to {out}")


def _write(out: Path, text: str, mode: str) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open(mode) as file:
            file.write(text)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be written ({error.strerror})", "give another file") from error


def _lines(found: dict[str, Any]) -> Iterator[str]:
    """The audit for people, a topic a line."""
    from cifake_ray.data.datasets import CARDS
    from cifake_ray.data.sources.left_out import left_from

    card = CARDS[found["card"]]
    known = (
        f"{card.title}, whole and unchanged" if card.title else "other images than those of the cards here, or a part"
    )
    yield f"{printable(found['source'])} ({found['kind']}): {card.note or known}"
    if found["fingerprint"]:
        yield f"fingerprint          {found['fingerprint']}"
    yield f"fingerprint v2       {found['fingerprint_v2']}"
    for conclusion in found["said"]:
        yield f"layout               {conclusion}"
    for part, counts in found["counts"].items():
        for label, count in counts.items():
            yield f"{f'{part} {label}':20} {count['images']:,}{_groups(count['groups'])}"
    yield from _share(found["counts"])
    for left in left_from(found["left"]):
        yield f"not used             {left}"
    yield f"not decodable        {found['undecodable']['images']:,}{_damaged(found['undecodable']['files'])}"
    yield f"exact duplicates     {_pairs(found['exact_duplicates'])}"
    yield from _examples(found["exact_duplicates"]["examples"])
    near = found["near_duplicates"]
    yield f"near duplicates      {_pairs(near)}; {near['pairs_of_both_labels']:,} of a FAKE and a REAL image"
    yield f"                     ({near['method']})"
    yield from _examples([pair["images"] for pair in near["examples"]])
    yield f"contradicting labels {found['label_conflicts']['pairs']:,} pairs of equal pixels"
    yield from _examples(found["label_conflicts"]["examples"])
    for label, kinds in found["encoding"].items():
        if not any(kinds.values()):  # of a class without files
            continue
        tallies = (", ".join(f"{count:,} {name}" for name, count in kind.items()) for kind in kinds.values())
        yield f"{f'files {label}':20} {'; '.join(tallies)}"
    for label, tables in found["jpeg"].items():
        yield from _tables(label, tables)
    yield from _bias(found["bias"])
    if "neutral_bias" in found:
        yield f"neutral              {found['neutral']}: the bias once both classes are re-encoded alike"
        yield from _bias(found["neutral_bias"])


def _groups(groups: dict[str, dict[str, int]]) -> str:
    from cifake_ray.data.taken import shown

    said = ""
    for column, tally in groups.items():
        told = {value: count for value, count in tally.items() if value}
        if len(told) > 1 and len(set(told.values())) == 1:
            said += f": {next(iter(told.values())):,} of each {column}, {' '.join(map(printable, told))}"
        elif told:
            said += f": {column} {shown(told)}"
    return said


def _share(counts: dict[str, Any]) -> Iterator[str]:
    """A line for each part of which one class is more than 60 %."""
    from cifake_ray.data.audit.balance import unbalanced

    for part, of_part in counts.items():
        images = {label: count["images"] for label, count in of_part.items()}
        if said := unbalanced(part, images):
            yield f"unbalanced           {said}"


def _bias(bias: dict[str, Any] | None) -> Iterator[str]:
    """What a model reaches that sees no pixel; nothing for the sample, which has no files."""
    if bias is not None:
        from cifake_ray.data.audit.bias_text import lines
        from cifake_ray.runs.records import Bias

        yield from map(printable, lines(Bias.model_validate(bias)))


def _damaged(files: list[dict[str, str]]) -> str:
    return "".join(f"; {printable(file['name'])} ({file['reason']})" for file in files[:_SHOWN])


def _pairs(duplicates: dict[str, Any]) -> str:
    pairs = ", ".join(f"{count:,} {where}" for where, count in duplicates["pairs"].items())
    leaked = duplicates.get("test_images_in_train")
    said = f"pairs: {pairs}" + ("" if leaked is None else f"; {leaked:,} test images have one in train")
    lost = duplicates.get("train_images_in_validation")
    return said + ("" if lost is None else f"; {lost:,} train images have one in validation, which keeps its own")


def _examples(examples: list[list[str]]) -> Iterator[str]:
    return (f"                     {printable(one)} = {printable(other)}" for one, other in examples[:_SHOWN])


def _tables(label: str, tables: list[dict[str, Any]]) -> Iterator[str]:
    for table in tables[:_SHOWN]:
        quality = f"quality {'' if table['quality_is_exact'] else 'about '}{table['quality']}"
        sums = " and ".join(f"{total:,}" for total in table["sums"])
        yield f"{f'JPEG tables {label}':20} {table['images']:,} images: sums {sums}, {quality}, {table['subsampling']}"
    if len(tables) > _SHOWN:
        yield f"                     and {len(tables) - _SHOWN:,} more kinds of tables"

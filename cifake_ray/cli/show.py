"""What the commands print: tables for people, JSON for machines."""

import json
import math
import re
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cifake_ray.cli.verdicts import verdict_lines
from cifake_ray.console import counted, duration, percent, printable, wrapped
from cifake_ray.errors import InputError

if TYPE_CHECKING:
    from cifake_ray.runs.records import DomainCounts, Evaluation, Interval, Robustness

_DATA_WIDTH = 40  # characters of a data path in a table on a terminal
_SHA256 = 64  # digits
_WIDEST = 10_000  # characters of a line of a table in a file: as wide as its cells
_DAYS_S = 2 * 86400  # an age above this is counted in days


def print_comparison(runs: list[Path]) -> None:
    """Print the comparison of these runs with its notes; tables in a narrow terminal get fewer columns."""
    from cifake_ray.reporting.load import load_all
    from cifake_ray.reporting.sections import for_terminal
    from cifake_ray.reporting.writers.terminal import sentences, tables

    width = _terminal_width()
    for section in for_terminal(load_all(runs)):
        for (columns, rows), (every, _) in zip(tables(section, width), tables(section, None), strict=True):
            print_table(columns, rows)
            if hidden := [column for column in every if column not in columns]:
                print_wrapped(f"  Columns that need a wider terminal, or a file: {', '.join(hidden)}.")
        for sentence in sentences(section):
            print_wrapped(f"  {sentence}")


def print_closing(run: Path) -> None:
    """Print the end of a study in four lines."""
    from cifake_ray.reporting.closing import closing_lines
    from cifake_ray.reporting.load import load

    for line in closing_lines(load(run)):
        print_wrapped(line)


def print_wrapped(line: str) -> None:
    """Print the line, on a terminal broken between words and indented, else whole."""
    print(wrapped(line, sys.stdout), flush=True)


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
    elif rows:
        print_table(list(rows[0]), [[_cell(value) for value in row.values()] for row in rows])


def run_row(run: dict[str, Any], *, wide: bool) -> dict[str, Any]:
    """A run of `summarise_runs` as a row of `runs`: five columns, or (`wide`) all."""
    total = run.get("total")
    row = {
        "name": run["name"],
        "state": run["state"],
        "done": "" if total is None else f"{run['trials']}/{total:.0f}",
        "best val.": percent(run.get("best_val_accuracy")),
        "age": _age(run.get("created")),
    }
    if not wide:
        return row
    kept = ("model", "running", "completed", "stopped", "failed", "interrupted", "data")
    words = {"stopped": "stopped early"}
    return row | {words.get(name, name): _whole(run.get(name)) for name in kept}


def from_left(text: str, width: int) -> str:
    """The text's end after an ellipsis where the text is longer than `width`: the end of a path says most.

    Whole where the output is no terminal: a file has room.
    """
    return text if len(text) <= width or not sys.stdout.isatty() else f"…{text[len(text) - width + 1 :]}"


def _whole(value: Any) -> str:
    if isinstance(value, str):
        return from_left(value, _DATA_WIDTH)
    return "" if value is None else f"{value:.0f}"


def _age(created: str | None) -> str:
    """How long ago an ISO 8601 time was; empty where it is unknown."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(created or "")).total_seconds()
    except (ValueError, TypeError):
        return ""
    return duration(max(seconds, 0)) if seconds < _DAYS_S else f"{seconds / 86400:.0f} days"


def print_table(columns: list[str], rows: list[list[str]]) -> None:
    """Print a table as wide as the terminal; where the output is no terminal, as wide as its cells."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=_terminal_width() or _WIDEST)
    if sys.stdout.isatty():
        console.print(table)
        return
    with console.capture() as captured:
        console.print(table)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()))


def _terminal_width() -> int | None:
    """Characters of a line of the terminal; None where the output is a file or pipe, whatever the environment says."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def interval(metric: "Interval") -> str:
    """`88.50 % [87.10, 89.70]`."""
    return f"{percent(metric.value)} [{100 * metric.low:.2f}, {100 * metric.high:.2f}]"


def print_evaluation(result: "Evaluation") -> None:
    """Print what `evaluate` found: which images, the scores beside a constant answer's, what stands out."""
    print(f"{result.run}, the one model in best/ (the study's result is the mean of all retrainings)")
    scored, *unused = re.split("; (?=not used: )", printable(result.summary))
    print(f"on {scored}; weights {result.weights}")
    for line in unused:
        print(f"  {line}")
    for line in _score_lines(result):
        print(f"  {line}")
    for line in _domain_lines(result.domain, result.test_images or 0):
        print(f"  {line}")
    if result.groups:
        from cifake_ray.cli.show_groups import print_groups

        print_groups(result.groups)
    copies = f"{result.duplicates_removed or 0:,} images equal a training image"
    looked = "copies of training images were not looked for: the study's images are not here"
    print(f"  {copies if result.copies_looked_for else looked}")
    for line in verdict_lines(result):
        print(f"  {line}")


def _score_lines(result: "Evaluation") -> Iterator[str]:
    whole, fresh = result.test, result.test_dedup
    if math.isnan(fresh.auc.value):
        yield _one_class_line(result)
        return
    for label, found, alone in (
        ("accuracy", whole.accuracy, fresh.accuracy),
        ("balanced accuracy", whole.balanced_accuracy, fresh.balanced_accuracy),
    ):
        yield f"{label:18} {interval(found)}   without copies of training images {interval(alone)}"
    yield f"{'constant answer':18} {percent(result.constant_accuracy)}"
    for label, score in (("AUC", fresh.auc), ("F1 (FAKE)", fresh.f1_fake), ("ECE", fresh.ece)):
        yield f"{label:18} {score.value:.4f} [{score.low:.4f}, {score.high:.4f}]"
    if result.only_answer:
        yield f"the model calls every image {result.only_answer}"
    elif fresh.auc.value < 0.5:
        yield "an AUC below 0.5 is worse than chance"


def _one_class_line(result: "Evaluation") -> str:
    """The share called FAKE of images that are all of one class, without copies of training images."""
    right, scores = result.test_dedup.accuracy, result.at_threshold
    label, called = "FAKE", right
    if scores.recognised_fake is None:
        label = "REAL"
        called = right.model_copy(update={"value": 1 - right.value, "low": 1 - right.high, "high": 1 - right.low})
    return f"{'called FAKE':18} {interval(called)} of {scores.images:,} {label} images, the only class here"


def _domain_lines(domain: "DomainCounts", images: int) -> list[str]:
    """How many images are unlike those of validation, or why that is unknown; nothing without statistics of these."""
    if domain.empty or (domain.unknown and not domain.reason):
        return []
    if domain.unknown:
        return [f"domain unknown: {domain.reason}"]
    said = f"{domain.outside:,} of {images:,} are outside what the model knows"
    most = f", and its answer to them means nothing; most often: {domain.reason}" if domain.outside else ""
    return [said + most]


def trained_on(run: Any) -> str:
    """Source and size of the images that the run's model was trained on."""
    from cifake_ray.data.datasets import recorded_card

    try:
        experiment = run.experiment()
    except InputError:  # predict needs best/ alone
        return "images that its damaged record does not name"
    from cifake_ray.runs.records.store import read_environment

    data = read_environment(run).data
    source = recorded_card(data.as_json()).title or Path(data.source).name
    sizes, limit = experiment.model.sizes, experiment.data.limit
    some = "" if limit is None else f"{limit:,} images, validation images among them, of "
    return f"{some}{source} at {' and '.join(map(str, sizes))} px"


def backbone_of(run: Any) -> str:
    """`; backbone weights imagenet-v1 (SHA-256 …)` of a run whose model has a pretrained part; else ""."""
    from cifake_ray.detector.note import read_model_note

    note = read_model_note(run).backbone
    if note is None:
        return ""
    digest = f" (SHA-256 {note.sha256[:12]}…)" if len(note.sha256) == _SHA256 else ""  # random weights have no file
    return f"; backbone weights {note.weights}{digest}"


def print_robustness(result: "Robustness") -> None:
    """Print the panel of `evaluate --robustness`."""
    print(f"{result.data}: {result.test_images:,} test images")
    columns = ["images", "accuracy [95 %]", "AUC", "FAKE right", "REAL right"]
    rows = [
        [row.name, interval(row.accuracy), _cell(row.auc), percent(row.recognised_fake), percent(row.recognised_real)]
        for row in result.rows
    ]  # fmt: skip
    print_table(columns, rows)


def plan_lines(plan: Any) -> list[str]:
    """Lines of a plan for people; see `tuning.estimate.plan.Plan`."""
    lines = [
        f"{plan.experiment}: {counted(plan.trials, 'trial')} of {counted(plan.epochs, 'epoch')}, "
        f"{plan.places} at once, {plan.train_images:,} training and {plan.validation_images:,} validation images"
    ]
    lines += [
        f"  batch_size {timing.batch_size}: {duration(timing.seconds_per_epoch)} an epoch "
        f"({timing.images_per_second:,.0f} images/s in training)"
        for timing in plan.timings
    ]
    lines += [
        f"  expected over the search space: {duration(plan.seconds_per_epoch)} an epoch",
        f"  feature extraction  {duration(plan.extraction_s)}" if plan.extraction_s else "",
        f"  tuning              {duration(plan.tuning_full_s)} without early stopping, {duration(plan.tuning_s)} with "
        f"(it runs {plan.epochs_share:.0%} of the epochs if trials come in random order of quality)",
        f"  retraining          {duration(plan.retraining_s)}, testing {duration(plan.test_s)}",
        f"  in all              {duration(plan.total_s)} ({duration(plan.total_full_s)} without early stopping)",
        f"  memory              {_gib(plan.memory_bytes)} of {_gib(plan.available_bytes)} available"
        f"{'' if plan.memory_bytes <= plan.available_bytes else ': too little, lower resources.max_concurrent'}",
        f"  disk                {_gib(plan.cache_bytes)} in the cache folder (pictures {_gib(plan.pictures_bytes)}, "
        f"arrays {_gib(plan.squares_bytes)}, features {_gib(plan.features_bytes)}); {_gib(plan.disk_free_bytes)} free",
    ]
    lines += [f"  {line}" for line in plan.taken.lines]
    if plan.budget_s is not None:
        verdict = "fits" if plan.fits else f"ends the study after about {plan.trials_in_budget} trials"
        lines.append(f"  time budget         {duration(plan.budget_s)}: {verdict}")
    return [line for line in lines if line]


def _gib(size: float) -> str:
    return f"{size / 2**30:.1f} GiB" if size >= 2**30 / 10 else f"{size / 2**20:.0f} MiB"

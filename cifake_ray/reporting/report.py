"""`write_report`: any number of run directories -> comparison.md, comparison.csv, plots/ and report.html."""

import multiprocessing
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pandas as pd

from cifake_ray.errors import InputError
from cifake_ray.machine import cores, forks_safely
from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.figures import DRAWINGS, Plot, drawn
from cifake_ray.reporting.load import Study, load_all
from cifake_ray.reporting.publish import FOLDER, in_order, publish
from cifake_ray.reporting.section import StudyPart
from cifake_ray.reporting.sections import document, study_part
from cifake_ray.reporting.writers.csv import csv_files
from cifake_ray.reporting.writers.html import Plots, render
from cifake_ray.reporting.writers.markdown import markdown
from cifake_ray.runs.files import write_bytes, write_text
from cifake_ray.signals import end_as_child

_ALONE = 3  # studies that are drawn in this process: starting others takes as long


def write_report(
    run_paths: Sequence[Path | str], out_dir: Path | str, *, images: bool = True, with_runs: bool = False
) -> list[Path]:
    """Write the report over these runs into `out_dir`; returns the files written, report.html last.

    A run given twice counts once. images: whether pictures of the data set may be in it. with_runs: copy the files that
    the figures follow from into `out_dir` and report on the copies, which hold no pictures. Raises InputError: no run
    given, a path that is none, `out_dir` not writable.
    """
    studies = load_all(run_paths)
    out = Path(out_dir).expanduser()
    try:
        copied = publish(studies, out) if with_runs else []
        if with_runs:
            studies = load_all([out / FOLDER / study.name for study in studies])
        ordered = in_order(studies, comparison_table(studies))
        return [*copied, *_write(out, ordered, images and not with_runs)]
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error})", "choose another --out") from error


def _write(out: Path, studies: Sequence[Study], images: bool) -> list[Path]:
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    parts = [study_part(study) for study in studies]
    with _drawing(studies, parts) as of_studies:
        found = document(studies, parts)
        overview = drawn([figure for section in found.overview for figure in section.figures], studies)
        plots = Plots(overview, list(of_studies))
    written = _write_plots(out, plots)
    texts = csv_files([*found.overview, *found.closing])
    texts |= {"comparison.md": markdown(found), "report.html": render(found, plots, images=images)}
    for name, content in texts.items():
        write_text(out / name, content)
    return [*written, *(out / name for name in texts)]


def _write_plots(out: Path, plots: Plots) -> list[Path]:
    folder, written = out / "plots", []
    everything = [*plots.overview, *(plot for of_study in plots.studies for plot in of_study)]
    _remove(folder, _drawn_before(out) - {plot.slug for plot in everything})
    for plot in everything:
        write_text(folder / f"{plot.slug}.svg", plot.svg)
        written.append(folder / f"{plot.slug}.svg")
        if plot.png is not None:
            write_bytes(folder / f"{plot.slug}.png", plot.png)
            written.append(folder / f"{plot.slug}.png")
    return written


@contextmanager
def _drawing(studies: Sequence[Study], parts: Sequence[StudyPart]) -> Iterator[Iterator[list[Plot]]]:
    """The plots of each study in turn; of many they are drawn on all cores, meanwhile: a study takes a second.

    Forked processes import nothing again; where there is no safe fork, this process draws.
    """
    slugs = _slugs([study.name for study in studies], _names(of_study=False))
    names = [[figure.name for section in part.sections for figure in section.figures] for part in parts]
    processes = cores() if forks_safely() else 1
    if len(studies) <= _ALONE or processes == 1:
        yield map(_draw_study, studies, slugs, names)
        return
    with ProcessPoolExecutor(min(processes, len(studies)), multiprocessing.get_context("fork"), end_as_child) as pool:
        try:
            sent = [replace(study) for study in studies]  # without cached values: this process adds some meanwhile
            yield pool.map(_draw_study, sent, slugs, names)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # a signal waits for no study that is left
            raise


def _draw_study(study: Study, slug: str, names: Sequence[str]) -> list[Plot]:
    """The figures of these names for which there is data; a function to be called in a process of its own."""
    return drawn([DRAWINGS[name] for name in names], study, f"{slug}-")


def _names(*, of_study: bool) -> list[str]:
    """Names of all figures that each study, or all studies together, may have."""
    return [name for name, drawing in DRAWINGS.items() if drawing.of_study is of_study]


def _slugs(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """File names for these studies: letters, digits, dot, dash; numbered where two would be the same."""
    slugs: list[str] = []
    for number, name in enumerate(names, start=1):
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "study"
        slugs.append(f"{slug}-study{number}" if slug in (*slugs, *taken) else slug)
    return slugs


def _drawn_before(out: Path) -> set[str]:
    """Slugs that the report already in `out` may have drawn, by the studies in its table; empty without a table.

    A picture of another name is the user's, whatever its name ends with.
    """
    try:
        rows = pd.read_csv(out / "comparison.csv", usecols=["study", "role"], dtype=str).dropna()
    except (OSError, ValueError):
        return set()
    studies = list(dict.fromkeys(rows.loc[rows["role"] != "reference", "study"]))
    overview = _names(of_study=False)
    return {*overview, *(f"{slug}-{name}" for slug in _slugs(studies, overview) for name in _names(of_study=True))}


def _remove(folder: Path, slugs: set[str]) -> None:
    for slug in slugs:
        for ending in ("svg", "png"):
            (folder / f"{slug}.{ending}").unlink(missing_ok=True)

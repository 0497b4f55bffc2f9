"""`write_report`: any number of run directories -> comparison.md, comparison.csv, plots/ and report.html."""

import itertools
import multiprocessing
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cifake_ray.errors import InputError
from cifake_ray.machine import cores
from cifake_ray.reporting import page, panels, plots, plots_pareto, plots_scores, plots_search, plots_trials, text
from cifake_ray.reporting.figures import Plot, encode
from cifake_ray.reporting.load import Study, load_all
from cifake_ray.reporting.publish import FOLDER, in_order, publish
from cifake_ray.reporting.tables import comparison_table
from cifake_ray.runs.files import write_bytes, write_text
from cifake_ray.signals import end_as_child

_STUDY_PLOTS: tuple[tuple[str, Callable[[Study], Figure | None], str], ...] = (
    ("learning-curves", plots.learning_curves,
     "Winner and baseline: accuracy and loss by epoch, mean over seeds, range of seeds shaded. "
     "Training accuracy is the running value under augmentation."),
    ("trial-curves", plots.trial_curves,
     "Every trial: validation accuracy and loss by epoch; grey ones were stopped before the last; dots mark ends."),
    ("best-so-far", plots.best_so_far,
     "What each trial reached, and the best until then. The dashed line is the baseline after all its epochs, "
     "retrained where that was done."),
    ("pareto", plots_pareto.pareto_plot,
     "Every trial by both objectives; the line is the Pareto front: none on it is beaten in both."),
    ("cost", plots_trials.cost, "What the search had found after so much CPU time; trials in the order of their ends."),
    ("hyperparameters", plots_search.hyperparameters, "What each trial reached against every searched hyperparameter."),
    ("parallel-coordinates", plots_trials.parallel_coordinates,
     "Every trial as a line through its configuration, to what it reached."),
    ("timeline", plots_trials.timeline,
     "When each trial ran. A row is a slot for one trial; where no bar is drawn, it stood empty."),
)  # fmt: skip
_OVERVIEW: tuple[tuple[str, Callable[[Sequence[Study]], Figure | None], str], ...] = (
    ("robustness", plots_scores.robustness,
     "Accuracy on degraded test images, with 95 % intervals: the fewer images, the wider."),
    ("roc", plots_scores.roc_curves,
     "ROC of each winner (its seed of median validation accuracy) on test images without duplicates: the part in which "
     "curves differ. The axes begin at 0.1 % of REAL and below the lowest curve and end where all are near 100 %."),
    ("reliability", plots_scores.reliabilities,
     "Reliability: how many images are FAKE among those given about this probability of it; on the dashed line the "
     "probabilities are right. Bins of fewer than 20 images are left out; the ECE stands in the table."),
    ("subjects", plots_scores.subjects,
     "Test accuracy by subject, FAKE and REAL together, mean over seeds; hollow where the subject was left out of "
     "training."),
)  # fmt: skip
_COMPARISON = (
    "Training, validation and test accuracy of every row, with 95 % intervals; test without duplicates of train images."
)
_TITLES = {"roc": "ROC", "cost": "What the search cost", "subjects": "Accuracy by subject",
           "robustness": "Degraded test images", "comparison": "All models"}  # fmt: skip
_OF_ALL = ("comparison", *(name for name, *_ in _OVERVIEW))  # plots over all studies
_AS_PNG = ("comparison", "learning-curves")  # what people put into slides
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
        frame = comparison_table(studies)
        studies = in_order(studies, frame)
        return [*copied, *_write(out, studies, frame, images and not with_runs)]
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error


def draw_overview(studies: Sequence[Study], frame: pd.DataFrame) -> list[Plot]:
    """Every plot over all studies for which there is data."""
    found = _encoded("comparison", "", _COMPARISON, plots_search.comparison(frame))
    for name, plot, caption in _OVERVIEW:
        found += _encoded(name, "", caption, plot(studies))
    return found


def draw_study(study: Study, slug: str) -> list[Plot]:
    """Every plot of one study for which there is data."""
    return [
        drawn
        for name, plot, caption in _STUDY_PLOTS
        for drawn in _encoded(f"{slug}-{name}", study.name, caption, plot(study))
    ]


def _encoded(slug: str, study: str, caption: str, figure: Figure | None) -> list[Plot]:
    """None or one plot; those in _AS_PNG also as PNG, which takes as long again as the SVG."""
    png = any(slug.endswith(name) for name in _AS_PNG)
    return [] if figure is None else [Plot(slug, study, _title(slug), caption, *encode(figure, png=png))]


def _title(slug: str) -> str:
    """`Learning curves` for the plot whose slug ends so."""
    names = [*_OF_ALL, *(name for name, *_ in _STUDY_PLOTS)]
    name = max((one for one in names if slug.endswith(one)), key=len)
    return _TITLES.get(name, name.replace("-", " ").capitalize())


@contextmanager
def _drawing(studies: Sequence[Study]) -> Iterator[Iterator[list[Plot]]]:
    """The plots of each study in turn; of many they are drawn on all cores, meanwhile: a study takes a second.

    Forked processes import nothing anew; where there is no safe fork, all of it is done here.
    """
    slugs = _slugs([study.name for study in studies], _OF_ALL)
    processes = cores() if sys.platform == "linux" else 1
    if len(studies) <= _ALONE or processes == 1:
        yield map(draw_study, studies, slugs)
        return
    with ProcessPoolExecutor(min(processes, len(studies)), multiprocessing.get_context("fork"), end_as_child) as pool:
        try:
            yield pool.map(draw_study, studies, slugs)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # a signal waits for no study that is left
            raise


def _slugs(names: Sequence[str], taken: Sequence[str]) -> list[str]:
    """File names for these studies: letters, digits, dot, dash; numbered where two would be the same."""
    slugs: list[str] = []
    for place, name in enumerate(names, start=1):
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "study"
        slugs.append(f"{slug}-study{place}" if slug in (*slugs, *taken) else slug)
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
    return {*_OF_ALL, *(f"{slug}-{name}" for slug in _slugs(studies, _OF_ALL) for name, *_ in _STUDY_PLOTS)}


def _remove(folder: Path, slugs: set[str]) -> None:
    for slug in slugs:
        for ending in ("svg", "png"):
            (folder / f"{slug}.{ending}").unlink(missing_ok=True)


def _write(out: Path, studies: Sequence[Study], frame: pd.DataFrame, images: bool) -> list[Path]:
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    with _drawing(studies) as plots_of_studies:
        drawn, sections = draw_overview(studies, frame), panels.sections(studies)
        drawn += itertools.chain.from_iterable(plots_of_studies)
    _remove(folder, _drawn_before(out) - {plot.slug for plot in drawn})
    written = []
    for plot in drawn:
        write_text(folder / f"{plot.slug}.svg", plot.svg)
        written.append(folder / f"{plot.slug}.svg")
        if plot.png is not None:
            write_bytes(folder / f"{plot.slug}.png", plot.png)
            written.append(folder / f"{plot.slug}.png")
    texts = {
        "comparison.csv": frame.to_csv(index=False, lineterminator="\n"),
        "comparison.md": text.markdown(studies, frame, sections),
        "report.html": page.render(studies, frame, drawn, sections, images=images),
    }
    for name, content in texts.items():
        write_text(out / name, content)
    return [*written, *(out / name for name in texts)]

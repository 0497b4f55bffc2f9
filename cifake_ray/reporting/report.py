"""`write_report`: any number of run directories -> comparison.md, comparison.csv, plots/ and report.html."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from cifake_ray.errors import InputError
from cifake_ray.reporting import page, pareto, plots, plots_search, text
from cifake_ray.reporting.figures import Plot, encode
from cifake_ray.reporting.load import Study, load
from cifake_ray.reporting.tables import comparison_table
from cifake_ray.run import write_bytes, write_text

_STUDY_PLOTS: tuple[tuple[str, Callable[[Study], Figure | None], str], ...] = (
    ("learning-curves", plots.learning_curves,
     "Winner and baseline: accuracy and loss by epoch, mean over seeds, range of seeds shaded. "
     "Training accuracy is the running value under augmentation."),
    ("trial-curves", plots.trial_curves, "Every trial: validation accuracy and loss by epoch; a dot marks its end."),
    ("best-so-far", plots.best_so_far, "What each trial reached, and the best until then."),
    ("pareto", pareto.pareto_plot,
     "Every trial by both objectives; the line is the Pareto front: none on it is beaten in both."),
    ("hyperparameters", plots_search.hyperparameters, "What each trial reached against every searched hyperparameter."),
)  # fmt: skip
_COMPARISON = (
    "Training, validation and test accuracy of every row, with 95 % intervals; test without duplicates of train images."
)


def write_report(run_paths: Sequence[Path | str], out_dir: Path | str) -> list[Path]:
    """Write the report over these runs into `out_dir`; returns the files written, report.html last.

    A run given twice counts once. Raises InputError: no run given, a path that is none, `out_dir` not writable.
    """
    studies = load_all(run_paths)
    out = Path(out_dir).expanduser()
    frame = comparison_table(studies)
    drawn = draw(studies, frame)
    try:
        return _write(out, studies, frame, drawn)
    except OSError as error:
        raise InputError(f"{out}: cannot be written ({error.strerror or error}); choose another --out") from error


def load_all(run_paths: Sequence[Path | str]) -> list[Study]:
    """The runs, each once; a second run of the same name is called `name-2`. Raises InputError for none at all."""
    if not run_paths:
        raise InputError("no run given: name at least one run directory; `cifake-ray runs` lists them")
    paths = list(dict.fromkeys(Path(path).expanduser().resolve() for path in run_paths))
    studies: list[Study] = []
    for study in map(load, paths):
        taken = {other.name for other in studies}
        names = (study.name if i == 1 else f"{study.name}-{i}" for i in range(1, len(paths) + 2))
        studies.append(dataclasses.replace(study, name=next(name for name in names if name not in taken)))
    return studies


def draw(studies: Sequence[Study], frame: pd.DataFrame) -> list[Plot]:
    """Every plot for which there is data: the comparison first, then those of each study."""
    figure = plots_search.comparison(frame)
    found = [Plot("comparison", "", _COMPARISON, figure)] if figure else []
    for study, prefix in zip(studies, _slugs([study.name for study in studies]), strict=True):
        for name, plot, caption in _STUDY_PLOTS:
            if figure := plot(study):
                found.append(Plot(f"{prefix}-{name}", study.name, caption, figure))
    return found


def _slugs(names: Sequence[str]) -> list[str]:
    """File names for these studies: letters, digits, dot, dash; numbered where two would be the same."""
    slugs: list[str] = []
    for place, name in enumerate(names, start=1):
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "study"
        slugs.append(f"{slug}-study{place}" if slug in (*slugs, "comparison") else slug)
    return slugs


def _write(out: Path, studies: Sequence[Study], frame: pd.DataFrame, drawn: Sequence[Plot]) -> list[Path]:
    folder = out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    written, svgs = [], []
    for plot in drawn:
        png, svg = encode(plot.figure)
        write_bytes(folder / f"{plot.slug}.png", png)
        write_text(folder / f"{plot.slug}.svg", svg)
        written += [folder / f"{plot.slug}.png", folder / f"{plot.slug}.svg"]
        svgs.append((plot, svg))
    texts = {
        "comparison.csv": frame.to_csv(index=False, lineterminator="\n"),
        "comparison.md": text.markdown(studies, frame),
        "report.html": page.render(studies, frame, svgs),
    }
    for name, content in texts.items():
        write_text(out / name, content)
    return [*written, *(out / name for name in texts)]

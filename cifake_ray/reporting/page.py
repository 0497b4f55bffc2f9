"""The report as one HTML page that loads nothing: what it shows, gathered as plain values for the template."""

import itertools
import math
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup, escape

from cifake_ray import __version__
from cifake_ray.experiment import CategoricalDimension, Dimension, join_plus, save_experiment
from cifake_ray.reporting import formatting, panels, pareto, text
from cifake_ray.reporting.figures import Plot, inline_svg
from cifake_ray.reporting.limits import limits
from cifake_ray.reporting.load import Role, Study, number, section
from cifake_ray.reporting.repeat import repeat_command, winner_command
from cifake_ray.reporting.tables import RANDOM_NOTE, what_it_is

_SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
_SHOWN = 10  # trials shown before the rest is folded away


_TERMS = {
    "Constant answer %": "Share of the larger class: what one answer to everything reaches",
    "Balanced %": "Mean of the shares of FAKE and of REAL images that are judged rightly",
    "AUC": "Area under the ROC curve: how often a FAKE image has a higher probability of FAKE than a REAL one",
    "F1 of FAKE": "Harmonic mean of precision and recall of FAKE, at probability 0.5",
    "F1 (FAKE)": "Harmonic mean of precision and recall of FAKE, at probability 0.5",
    "ECE": "Expected calibration error: mean distance of confidence and accuracy, 15 bins",
    "p": "Probability of a difference as large by chance alone",
    "p, Holm": "The same, corrected for the number of pairs",
}


def render(
    studies: Sequence[Study],
    frame: pd.DataFrame,
    plots: Sequence[Plot],
    sections: Sequence[panels.Section],
    *,
    images: bool = True,
) -> str:
    """report.html. images: whether pictures of the data set may be in it."""
    figures = [(plot.study, _figure(place, plot)) for place, plot in enumerate(plots)]
    overview = [figure for owner, figure in figures if not owner]
    anchors = {study.name: f"study-{place}" for place, study in enumerate(studies, 1)}
    took = {study.name: _took(study) for study in studies}
    template = _environment().get_template("report.html.j2")
    return template.render(
        headlines=text.headlines(studies, frame),
        title=text.title(studies),
        about=_about(studies),
        board=[_board_line(row, anchors, took) for row in text.main_rows(frame) if row["role"] != "reference"],
        winner=_best_command(studies, frame),
        rows=[_comparison_row(row) | {"anchor": anchors.get(str(row["study"]), "")} for row in text.main_rows(frame)],
        costs=[_cost_row(row) for row in text.main_rows(frame)],
        baselines=[text.baseline_cells(row) for row in text.baseline_rows(frame)],
        notes=text.notes(studies, frame),
        sections=[section for section in sections if section[1]],
        unmeasured=panels.unmeasured(studies),
        limits=limits(studies),
        first=overview[:1],
        overview=columns(overview[1:]),
        studies=[
            _study(study, columns([figure for owner, figure in figures if owner == study.name]), images)
            for study in studies
        ],
    )


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("cifake_ray.reporting", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["TERMS"] = _TERMS
    return environment


def _figure(place: int, plot: Plot) -> dict[str, Any]:
    # matplotlib escapes the text it draws; the label is escaped here
    svg = Markup(inline_svg(plot.svg, f"f{place}", str(escape(plot.caption))))
    width, height = map(float, _SIZE.findall(plot.svg)[0])
    lines = 6 + len(plot.caption) / 70  # title, margins and caption, as lines of text
    return {"svg": svg, "title": plot.title, "caption": plot.caption, "height": height / width + 0.045 * lines}


def columns(figures: Sequence[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """The figures in two columns that end as evenly as they can, each in the order given; the first is on the left."""
    if len(figures) < 2:
        return [list(figures)]
    heights: list[float] = [figure["height"] for figure in figures]

    def unevenness(right: tuple[bool, ...]) -> float:
        return abs(sum(-height if chosen else height for height, chosen in zip(heights, right, strict=True)))

    sides = itertools.product((False, True), repeat=len(figures) - 1)  # a study has 8 plots: 128 ways
    right = min(((False, *others) for others in sides), key=unevenness)
    return [[figure for figure, side in zip(figures, right, strict=True) if side is chosen] for chosen in (False, True)]


def _about(studies: Sequence[Study]) -> list[str]:
    """When and with what the report was made, and how long its studies ran."""
    recorded = [number(study.environment, "seconds") for study in studies]
    in_all = formatting.wall_time(sum(seconds for seconds in recorded if 0 < seconds < math.inf))
    count = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"
    ran = [count] if in_all == formatting.NOTHING else [f"{count}, {in_all} in all"]
    return [f"{datetime.now(UTC):%Y-%m-%d}", f"cifake-ray {__version__}", *ran]


def _took(study: Study) -> str:
    """How long the study ran, "" where that is not recorded."""
    took = formatting.wall_time(number(study.environment, "seconds"))
    return "" if took == formatting.NOTHING else took


def _best_command(studies: Sequence[Study], frame: pd.DataFrame) -> str:
    """The command that trains the model of the page's first sentence again; "" before there is one."""
    best = text.best_row(frame)
    role: Role = "baseline" if best and best["role"] == "baseline" else "tuned"
    return next((winner_command(study, role) for study in studies if best and study.name == best["study"]), "")


def _board_line(row: formatting.Row, anchors: dict[str, str], took: dict[str, str]) -> dict[str, str]:
    """One model in one line: name, test accuracy, gain, duration."""
    gain, _, limits = text.accuracy_cells(row)["Gain, points"].partition(" ")
    return {
        "study": str(row["study"]), "anchor": anchors.get(str(row["study"]), ""),
        "test": formatting.percent(formatting.headline_test(row)),
        "interval": formatting.interval(row["test_low"], row["test_high"]),
        "sample": "synthetic sample" if row["generated"] else "",
        "gain": "" if gain == formatting.NOTHING else gain, "limits": limits, "took": took.get(str(row["study"]), ""),
    }  # fmt: skip


def _cost_row(row: formatting.Row) -> dict[str, str]:
    """What the row took and was measured on."""
    found = text.cost_cells(row)
    return {name: value for name, value in found.items() if name != "Role"}


def _comparison_row(row: formatting.Row) -> dict[str, Any]:
    found = text.accuracy_cells(row) | text.cost_cells(row)
    return {
        "cells": found,
        "role": row["role"],
        "train": (formatting.percent(row["train_accuracy"]), formatting.interval(row["train_low"], row["train_high"])),
        "val": (formatting.percent(row["val_accuracy"]), formatting.interval(row["val_low"], row["val_high"])),
        "test": (
            formatting.percent(formatting.headline_test(row)),
            formatting.interval(row["test_low"], row["test_high"]),
        ),
        "test_all": formatting.percent(row["test_accuracy"]),
        "params": (formatting.whole(row["params_trained"]), formatting.whole(row["params_total"])),
        "trials": (
            formatting.whole(row["trials"]),
            f"{formatting.whole(row['stopped'])} stopped",
            f"{formatting.whole(row['failed'])} failed",
        ),
        "reason": row["verdict_reason"] if formatting.known(row["verdict_reason"]) else "",
        "weights": RANDOM_NOTE if row["weights"] == "random" else "" if row["weights"] == "none" else row["weights"],
        "source": row["source"],
    }


def _study(study: Study, figures: Sequence[Sequence[dict[str, Any]]], images: bool) -> dict[str, Any]:
    return {
        "name": study.name,
        "model": study.experiment.model.label,
        "missing": text.missing(study),
        "search": _search_sentence(study),
        "space": [_space_row(study, name, dimension) for name, dimension in study.experiment.search_space.items()],
        "pareto": pareto.front_sentence(study),
        "front": _trial_table(pareto.front_table(study)),
        "best_trials": _trial_table(study.ranked().head(_SHOWN if len(study.trials) > _SHOWN else 0)),
        "trials": _trial_table(study.trials),
        "figures": figures,
        "confusion": panels.confusion_table(study),
        "gallery": panels.gallery(study) if images else [],
        "gallery_method": study.explanations.get("method", ""),
        "explainable": images and bool(study.winner("tuned")) and not study.explanations,
        "data": _data_facts(study),
        "skipped": [
            f"{file.get('name', '?')}: {file.get('reason', '?')}" for file in _listed(study.data.get("skipped"))
        ],
        "environment": _environment_facts(study),
        "command": repeat_command(study),
        "winner": winner_command(study),
        "yaml": save_experiment(study.experiment),
    }


def _search_sentence(study: Study) -> str:
    search, counts = study.experiment.search, study.counts()
    if not study.dimensions:
        return "One configuration was trained; nothing was searched."
    second = f" and {search.second_objective}" if search.second_objective else ""
    ended = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "none"
    return (
        f"{search.sampler.upper()} proposed configurations for {search.metric}{second}; scheduler: {search.scheduler}. "
        f"Trials requested: {search.trials}; so far: {ended}. Trial 0 is the baseline."
    )


def _space_row(study: Study, name: str, dimension: Dimension) -> dict[str, str]:
    return {
        "name": name,
        "range": _range(dimension),
        "baseline": _value(study.experiment.baseline_params().get(name)),
        "tuned": _value(_params(study, "tuned").get(name)),
    }


def _params(study: Study, role: Role) -> dict[str, Any]:
    return section(study.winner(role), "params") or study.trial(role)


def _range(dimension: Dimension) -> str:
    when = "".join(f", when {name} is {' or '.join(map(str, values))}" for name, values in dimension.when.items())
    if isinstance(dimension, CategoricalDimension):
        return ", ".join(map(str, dimension.choices)) + when
    scale = ", log scale" if dimension.log else ""
    step = f", step {dimension.step:g}" if dimension.step not in (None, 1) else ""
    return f"{dimension.low:g} to {dimension.high:g}{scale}{step}{when}"


def _value(value: Any) -> str:
    value = join_plus(value)
    if not formatting.known(value):
        return formatting.NOTHING
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _trial_table(trials: pd.DataFrame) -> dict[str, Any]:
    """Columns in which any trial has something, and their cells: accuracies in percent, seconds with one decimal."""
    columns = {str(name): [_trial_cell(str(name), value) for value in trials[name].tolist()] for name in trials.columns}
    columns = {name: column for name, column in columns.items() if any(column)}
    return {"columns": [name.replace("_", " ") for name in columns], "rows": list(zip(*columns.values(), strict=True))}


def _trial_cell(name: str, value: Any) -> str:
    if not formatting.known(value):
        return ""
    if name.endswith("accuracy"):
        return formatting.percent(value)
    if name in ("seconds", "cpu_seconds"):
        return f"{value:.1f}"
    return _value(value)


def _data_facts(study: Study) -> list[tuple[str, str]]:
    data = study.data
    if not data:
        return []
    split = section(data, "split")
    return [
        ("Source", f"{data.get('source', '?')} ({data.get('kind', '?')})"),
        ("What it is", what_it_is(study)),
        ("Fingerprint (SHA-256)", str(data.get("fingerprint", "?"))),
        ("Train part", _counted(section(data, "train"))),
        (
            "Split",
            f"{formatting.whole(split.get('train'))} train, {formatting.whole(split.get('validation'))} validation",
        ),
        ("Test part", _counted(section(data, "test"))),
        ("Test images that are also in train", formatting.whole(data.get("duplicates_in_test"))),
        ("Files skipped", formatting.whole(len(data.get("skipped") or []))),
        ("Images converted", _counted(section(data, "converted")) or "none"),
    ]


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(
        f"{formatting.whole(count) if isinstance(count, int) else count} {name}" for name, count in counts.items()
    )


def _environment_facts(study: Study) -> list[tuple[str, str]]:
    environment = study.environment
    if not environment:
        return []
    versions = ", ".join(f"{name} {version}" for name, version in section(environment, "versions").items())
    features = section(environment, "features")
    facts = [
        ("Started", str(environment.get("created", "?"))),
        ("Versions", versions),
        ("Git commit", str(environment.get("git_commit") or "not in a git checkout")),
        *[(f"Node {node.get('node', '?')}", _node(node)) for node in _listed(environment.get("hardware"))],
        *[("Weights", _weights(weights)) for weights in _listed(environment.get("weights"))],
        ("Seeds", ", ".join(f"{name} {seed}" for name, seed in section(environment, "seeds").items())),
        ("Trials at once", formatting.whole(environment.get("max_concurrent"))),
        ("Wall time without start and decoding", formatting.wall_time(number(environment, "seconds"))),
    ]
    if features:
        facts.append(
            (
                "Features extracted",
                f"{formatting.whole(features.get('extracted'))} in {formatting.whole(features.get('seconds'))} s",
            )
        )
    return facts


def _listed(value: Any) -> list[dict[str, Any]]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]


def _node(node: dict[str, Any]) -> str:
    gpus = ", ".join(map(str, node.get("gpus") or [])) or "none"
    return (
        f"{node.get('cpus', '?')} CPUs ({node.get('cpu_model', '?')}), GPUs: {gpus}, {node.get('memory_gib', '?')} GiB"
    )


def _weights(weights: dict[str, Any]) -> str:
    stages = ", ".join(map(str, weights.get("stages") or []))
    return (
        f"{weights.get('name', '?')}, SHA-256 {weights.get('sha256', '?')}, licence {weights.get('licence', '?')}, "
        f"stages {stages or '?'}"
    )

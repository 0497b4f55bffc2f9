"""The sections of a report, in the order in which it shows them. A new one is a file here and a line in a list below.

A builder takes all studies, or one, and returns its `Section`, or None where it has nothing to say.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Document, Section, StudyPart
from cifake_ray.reporting.sections import (
    accuracy,
    bias,
    blend,
    calibration,
    certainty,
    commands,
    cost,
    curves,
    data,
    differences,
    environment,
    errors,
    evaluations,
    generators,
    head,
    hyperparameters,
    importance,
    limits,
    missing,
    parallel,
    pareto,
    probabilities,
    reading,
    robustness,
    search,
    spectrum,
    subjects,
    timeline,
    trials,
    verdicts,
)

Data = TypeVar("Data")
Build = Callable[[Sequence[Study]], Section | None]
BuildOne = Callable[[Study], Section | None]


def figures_here(_: object) -> Section:
    """The place of the figures on the page."""
    return Section(figures_here=True)


OVERVIEW: list[Build] = [  # over all studies: page and Markdown
    accuracy.build,
    blend.build,
    bias.build,
    spectrum.build,
    generators.build,
    cost.build,
    figures_here,
    reading.build,
    pareto.build,
    certainty.build,
    differences.build,
    importance.build,
    data.build,
    robustness.build,
    probabilities.build,
    calibration.build,
    verdicts.build,
    subjects.build,
    evaluations.build,
    evaluations.build_degraded,
    environment.build,
]
OF_STUDY: list[BuildOne] = [  # of each study: page
    missing.of_study,
    commands.winner,
    search.of_study,
    figures_here,
    curves.of_study,
    pareto.of_study,
    cost.of_study,
    hyperparameters.of_study,
    parallel.of_study,
    timeline.of_study,
    errors.matrix,
    errors.largest,
    trials.of_study,
    data.of_study,
    bias.of_study,
    environment.of_study,
    commands.repetition,
]
OF_BLEND: list[BuildOne] = [  # of each blend, which searched and trained nothing
    missing.of_study,
    blend.of_study,
    figures_here,
    errors.matrix,
    errors.largest,
    data.of_study,
    bias.of_study,
    environment.of_study,
    commands.repetition,
]
CLOSING: list[Build] = [missing.build]  # after the limits: page and Markdown
TERMINAL: list[Build] = [accuracy.build, bias.build, generators.build, reading.build]


def document(studies: Sequence[Study], parts: Sequence[StudyPart] | None = None) -> Document:
    """The report over these studies. parts: the `study_part` of each study, where they are made already."""
    overview = _built(OVERVIEW, studies)
    closing = [limits.limits_of(overview), *_built(CLOSING, studies)]
    return Document(head.build(studies), overview, parts or [study_part(study) for study in studies], closing)


def study_part(study: Study) -> StudyPart:
    """The sections of one study."""
    return StudyPart(study.name, study.model_label, _built(OF_BLEND if study.is_blend else OF_STUDY, study))


def for_terminal(studies: Sequence[Study]) -> list[Section]:
    """The sections that the terminal shows."""
    return _built(TERMINAL, studies)


def _built(builders: Iterable[Callable[[Data], Section | None]], data: Data) -> list[Section]:
    return [section for build in builders if (section := build(data)) is not None]

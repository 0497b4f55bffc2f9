"""What a model reaches that sees no pixel, beside the headline of each study on pictures of the user's own."""

from collections.abc import Sequence

from cifake_ray.data.audit.bias_text import CURE, before_and_after, by_class, group_words, score_words
from cifake_ray.reporting.comparison import comparison_table
from cifake_ray.reporting.formatting import NOTHING, Row, headline_test, known, percent, points, rows_of
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import Bias

NEAR = 0.05  # of accuracy; a headline that is no farther above the bias carries the warning
METHOD = (
    "Gradient boosting (scikit-learn) on format, size, bytes a pixel, JPEG quality, chroma subsampling, progressive "
    "coding, metadata present and colour mode of at most 20,000 files, five folds, equal files in one fold. Balanced "
    "accuracy with its 95 % interval over pictures; between folds of meaningless properties the figure scatters 1.4 "
    "times as widely. Alone: of a model that sees no other property. Lost: what the whole model loses when the "
    "property is shuffled among the pictures."
)


def build(studies: Sequence[Study]) -> Section | None:
    """A row for each study whose pictures were checked; a sentence where the headline is within 5 points."""
    found = {study.name: bias for study in studies if (bias := recorded_bias(study)) is not None}
    if not found:
        return None
    tested = [row for row in rows_of(comparison_table(studies)) if row["role"] in ("tuned", "trained", "blend")]
    before = {study.name: study.records.environment.data.bias for study in studies if _neutral(study)}
    rows = [
        _cells(row, found[str(row["study"])]) | (_before(before.get(str(row["study"]))) if before else {})
        for row in tested
        if row["study"] in found
    ]
    warned = [(row, said) for row in tested if (said := headline_warning(row, found.get(str(row["study"]))))]
    return Section(
        "Without a pixel",
        [f"{row['study']}. {said}" for row, said in warned],
        tables=(Table(rows, terminal=()),),
        method=METHOD,
        minor=True,
    )


def of_study(study: Study) -> Section | None:
    """Each property's share in the bias, the groups, and the bare table of properties by class."""
    bias = recorded_bias(study)
    if bias is None:
        return None
    scores = [
        {"Property": one.name, "Alone %": percent(one.alone, 1), "Lost, points": points(-one.lost)}
        for one in bias.properties
    ]
    groups = [
        {"Group": f"{group.column} {group.value}", "Without a pixel": group_words(group)} for group in bias.groups
    ]
    by_label = [{"Property": row.name} | {label: by_class(row, label) for label in LABELS} for row in bias.table]
    tables = [
        Table(scores),
        Table(groups),
        Table(by_label, fold="Each property by class: share, or median (5 to 95 %)"),
    ]
    before = study.records.environment.data.bias
    said = before_and_after(before, bias) if before is not None and _neutral(study) else []
    return Section("Without a pixel", said, tables=[table for table in tables if table.rows])


def _neutral(study: Study) -> bool:
    """Whether the study's pictures were re-encoded and checked again."""
    return study.records.environment.data.neutral_bias is not None


def _before(bias: Bias | None) -> dict[str, str]:
    known = bias is not None and bias.accuracy is not None
    return {"As delivered": score_words(bias.accuracy) if known else NOTHING}  # type: ignore[union-attr, arg-type]


def recorded_bias(study: Study) -> Bias | None:
    """What the study noted of its pictures, re-encoded where they were; None where they were not checked."""
    data = study.records.environment.data
    return data.neutral_bias or data.bias


def headline_warning(row: Row, bias: Bias | None) -> str | None:
    """One sentence where a model without pixels comes within 5 points of this row's test accuracy."""
    reached = headline_test(row)
    if bias is None or bias.accuracy is None or not known(reached) or reached - bias.accuracy.value > NEAR:
        return None
    by = ", ".join(one.name for one in bias.leading())
    above = 100 * (reached - bias.accuracy.value)
    compared = f"only {above:.1f} points above that" if above > 0 else "not above that"
    return (
        f"Warning: a model that sees no pixel reaches {score_words(bias.accuracy)} balanced accuracy on these pictures"
        f"{f' by {by}' if by else ''}, and {percent(reached)} % is {compared}: {CURE}."
    )


def _cells(row: Row, bias: Bias) -> dict[str, str]:
    reached = headline_test(row)
    apart = reached - bias.accuracy.value if bias.accuracy is not None and known(reached) else None
    return {
        "Study": str(row["study"]),
        "Pictures": f"{sum(bias.images.values()):,} of {bias.of:,}",
        "Without a pixel, balanced": NOTHING if bias.accuracy is None else score_words(bias.accuracy),
        "Test %": percent(reached),
        "Apart, points": NOTHING if apart is None else points(apart),
        "Separated by": ", ".join(f"{one.name} {percent(one.alone, 1)} %" for one in bias.leading()) or NOTHING,
    }

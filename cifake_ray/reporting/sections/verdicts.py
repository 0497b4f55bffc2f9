"""Verdicts that may be `unsure`: risk and coverage of the stored rule on each set, and what its promise gave."""

from collections.abc import Sequence

from matplotlib.figure import Figure

from cifake_ray.reporting.figures import overview_figure
from cifake_ray.reporting.formatting import NOTHING, interval, percent, whole, with_interval
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.marks import one_panel, study_line, study_marker
from cifake_ray.reporting.section import Section, Table
from cifake_ray.reporting.sections.robustness import by_images
from cifake_ray.reporting.style import legend_above
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import ClassVerdicts, VerdictRow, VerdictSet
from cifake_ray.stats.conformal import excluded_interval
from cifake_ray.stats.selective import Selective, risk_and_coverage

ALPHA = 0.01  # of the tables; the figure has all that are noted
_NAMED = 12  # generators in the sentence of what is not covered
_METHOD = (
    f"The model in best/, without duplicates, at alpha {ALPHA:g}. A label is excluded where fewer than alpha of the "
    "calibration images of that class look as unlike it (class-conditional split conformal prediction: Vovk 2013; "
    "Sadinle, Lei and Wasserman 2019). One label left is the verdict; both, none, or an image unlike those of "
    "calibration is unsure. Given: images with a verdict; wrong: share of verdicts that are wrong; 95 % Wilson "
    "intervals."
)
_CHOSE = (
    "Validation images also chose epoch and configuration, so that a model is a little too good on them and alpha may "
    "be missed by more than chance. What alpha gave on the test part, which chose nothing:"
)
_PROMISE_METHOD = (
    "Excluded: images whose own label is excluded by the logit. Expected: rank / (calibration images + 1), alpha at "
    "most. By chance: the 95 % interval of the share that a limit on so many calibration images gives on so many test "
    "images (beta-binomial; Marques 2023)."
)


def build(studies: Sequence[Study]) -> Section:
    """A row for each study and set; what alpha gave on the test part; degraded images; what nothing here covers."""
    tables = [Table(rows) for rows in (_rows(studies),) if rows]
    if promised := [row for study in studies for row in _promised(study)]:
        tables.append(Table(promised, title="What alpha promised and gave", above=_CHOSE))
    if spoilt := _degraded(studies):
        tables.append(Table(spoilt, title="Verdicts on degraded test images"))
    return Section(
        "Verdicts: fake, real or unsure" if tables else "",
        tables=tables,
        figures=(risk_coverage,),
        method=" ".join((_METHOD, _PROMISE_METHOD)) if tables else "",
        remarks=_uncalibrated(studies),
        caveats=(not_covered(studies),),
    )


def sets_of(study: Study) -> list[VerdictSet]:
    """Every set that the study's rule was tried on: its test part; images from elsewhere, refitted too."""
    found = list(study.records.verdicts.sets)
    for noted in study.records.evaluations:
        name = (noted.data or "?").rstrip("/").rpartition("/")[2]
        if noted.verdicts:
            found.append(VerdictSet(name=name, rows=noted.verdicts))
        if (refitted := noted.recalibration) is not None:
            found.append(VerdictSet(name=f"{name}, by {refitted.decision.calibrated_on}", rows=refitted.verdicts))
    return found


def not_covered(studies: Sequence[Study]) -> str:
    """The sentence of what no verdict and no figure covers."""
    names = list(dict.fromkeys(name for study in studies for name in _generators(study)))
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    trained_on = f"those that made the training images ({', '.join(names[:_NAMED])}{more})" if names else (
        "those that made the training images"
    )  # fmt: skip
    return (
        "Not covered by any figure or verdict: images edited in part, images of generators other than "
        f"{trained_on}, and recapture (an image photographed from a screen or a print, or scanned)."
    )


def _generators(study: Study) -> list[str]:
    """The generators of the training images, by the data set's card or as the source names them."""
    taken = study.records.environment.data.taken
    told = [name for one in taken if one.part == "train" for name in one.groups.get("generator", {})]
    return list(study.card.generators) or told


def _rows(studies: Sequence[Study]) -> list[dict[str, str]]:
    return [
        {"Study": study.name, "Images": one.name} | _cells(row)
        for study in studies
        for one in sets_of(study)
        if (row := _at(one.rows)) is not None
    ]


def _at(rows: Sequence[VerdictRow]) -> VerdictRow | None:
    return next((row for row in rows if row.alpha == ALPHA), None)


def selective(row: VerdictRow) -> Selective:
    """Risk and coverage of one row, over both classes."""
    wrong = row.fake.real + row.real.fake
    return risk_and_coverage(row.fake.fake + row.real.real, wrong, row.fake.unsure + row.real.unsure)


def _cells(row: VerdictRow) -> dict[str, str]:
    found, images = selective(row), row.fake.images + row.real.images
    risk = found.risk
    return {
        "Number": whole(images),
        "Given %": with_interval(found.coverage.value, found.coverage.low, found.coverage.high),
        "Wrong %": with_interval(risk.value, risk.low, risk.high) if risk else NOTHING,
        "FAKE: fake / unsure / real %": _shares(row.fake, row.fake.fake, row.fake.real),
        "REAL: real / unsure / fake %": _shares(row.real, row.real.real, row.real.fake),
        "Unlike calibration %": percent((row.fake.outside + row.real.outside) / images),
    }


def _shares(found: ClassVerdicts, right: int, wrong: int) -> str:
    if not found.images:
        return NOTHING
    return " / ".join(percent(count / found.images) for count in (right, found.unsure, wrong))


def _promised(study: Study) -> list[dict[str, str]]:
    """What alpha gave for each class of the images that are drawn as those of calibration."""
    rows = [row for one in sets_of(study) if one.like_calibration and (row := _at(one.rows)) is not None]
    return [
        {"Study": study.name, "Class": label, "Calibration images": whole(found.calibrated)} | _promise(found)
        for row in rows
        for label, found in zip(LABELS, (row.fake, row.real), strict=True)
        if found.images
    ]


def _promise(found: ClassVerdicts) -> dict[str, str]:
    low, high = excluded_interval(found.rank, found.calibrated, found.images)
    expected = percent(found.rank / (found.calibrated + 1)) if found.rank else "0, too few images"
    return {
        "Expected %": expected,
        "Test images": whole(found.images),
        "Excluded %": percent(found.excluded / found.images),
        "By chance %": interval(low / found.images, high / found.images),
        "Within": "yes" if low <= found.excluded <= high else "no, fewer" if found.excluded < low else "no, more",
    }


def _degraded(studies: Sequence[Study]) -> list[dict[str, str]]:
    """A row for each degradation, a column for each study that is calibrated."""
    found = {}
    for study in studies:
        rows = {row.name: at for row in study.records.robustness.rows if (at := _at(row.verdicts)) is not None}
        if rows:
            found[study.name] = rows
    return by_images(found, _called)


def _called(row: VerdictRow) -> str:
    """`REAL called fake 0.40 %, FAKE called real 1.10 %, unsure 62.00 %`."""
    images = row.fake.images + row.real.images
    shares = ((f"{label} called {word}", count / found.images) for label, word, count, found in (
        (LABELS[1], "fake", row.real.fake, row.real), (LABELS[0], "real", row.fake.real, row.fake),
    ) if found.images)  # fmt: skip
    unsure = ("unsure", (row.fake.unsure + row.real.unsure) / images)
    return ", ".join(f"{what} {percent(share)} %" for what, share in (*shares, unsure))


def _uncalibrated(studies: Sequence[Study]) -> list[str]:
    """Which command calibrates the tested studies that are not."""
    lacking = [study.name for study in studies if study.outcome("tuned") and not study.records.verdicts.sets]
    if not lacking:
        return []
    return [f"Verdicts are not measured for {', '.join(lacking)}: `cifake-ray evaluate RUN --calibrate` does it."]


@overview_figure(
    "risk-coverage",
    "Verdicts of the stored rule: how many images get one, and how many of these are wrong, for alpha from 0.1 % to "
    "10 % along each line; the large mark is alpha 1 %. Lines of the images that validation resembles are whole. A "
    "line turns back where alpha allows more errors than the model makes: then neither label is plausible between the "
    "classes.",
    title="Risk and coverage of the verdicts",
)
def risk_coverage(studies: Sequence[Study]) -> Figure | None:
    """Share of wrong verdicts against the share of images with a verdict, a line for each study and set."""
    found = [(number, study.name, one) for number, study in enumerate(studies) for one in sets_of(study)]
    lines = [(number, _label(name, one), one, points) for number, name, one in found if (points := _points(one))]
    if not lines:
        return None
    figure, panel = one_panel(3.4, [label for _, label, *_ in lines])
    for number, label, one, points in lines:
        line = study_line(number) | {"linestyle": "-" if one.like_calibration else ":"}
        x, y, alphas = zip(*points, strict=True)
        panel.plot(x, y, **line, marker=study_marker(number), markersize=2.5, label=label)
        at = [position for position, alpha in enumerate(alphas) if alpha == ALPHA]
        panel.plot([x[i] for i in at], [y[i] for i in at], linestyle="", marker=study_marker(number), markersize=7,
                   color=line["color"])  # fmt: skip
    panel.set(xlabel="images with a verdict (%)", ylabel="wrong verdicts (%)")
    panel.set_ylim(bottom=0)
    legend_above(figure, panel.get_legend_handles_labels()[0])
    return figure


def _label(study: str, one: VerdictSet) -> str:
    label = study if one.like_calibration else f"{study}, {one.name}"
    return label if len(label) <= 40 else label[:39] + "…"


def _points(one: VerdictSet) -> list[tuple[float, float, float]]:
    """Coverage and risk, in percent, by alpha; alphas that give no verdict have none."""
    found = [(selective(row), row.alpha) for row in one.rows if row.fake.images + row.real.images]
    return [(100 * each.coverage.value, 100 * each.risk.value, alpha) for each, alpha in found if each.risk]

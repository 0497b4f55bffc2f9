"""What stands on top of a report: its title, the result in plain sentences, and every model in one line."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from cifake_ray import __version__
from cifake_ray.data.datasets.card import Card
from cifake_ray.reporting.comparison import comparison_table, main_rows
from cifake_ray.reporting.formatting import (
    NOTHING,
    Row,
    decimal,
    headline_test,
    interval,
    known,
    percent,
    rows_of,
    wall_time,
    whole,
)
from cifake_ray.reporting.load import Role, Study, cards_of
from cifake_ray.reporting.repeat import winner_command
from cifake_ray.reporting.section import Cell, Listing, Section, Small, Table
from cifake_ray.reporting.sections.accuracy import accuracy_cells, set_name
from cifake_ray.reporting.sections.bias import headline_warning, recorded_bias
from cifake_ray.reporting.winners import study_gain

_AGAIN = "Train the best one again (one seed; the figure above is a mean over the study's seeds)"


def build(studies: Sequence[Study]) -> Section:
    """Title, sentences, a line for each model, the command that trains the best one again; when this was made."""
    best = best_rows(rows_of(comparison_table(studies)))
    command = _best_command(studies, best[0]) if len(best) == 1 else ""
    board = _board(studies)
    return Section(
        title(studies),
        headlines(studies),
        tables=(Table(board, look="board"),) if board else (),
        listings=(Listing((command,), title=_AGAIN),) if command else (),
        method=_about(studies),
    )


def title(studies: Sequence[Study]) -> str:
    """What the report is about; a data set is named only where every study is on it."""
    cards = cards_of(studies)
    named = len(cards) == 1 and cards[0].title and not cards[0].generated
    return f"Detectors of AI-generated images{f' on {cards[0].title}' if named else ''}"


def headlines(studies: Sequence[Study]) -> list[str]:
    """The result in plain sentences: the best tested model, then what tuning gained in each study."""
    best = best_rows(rows_of(comparison_table(studies)))
    sentences = [] if best else ["No model has been tested yet; what follows are the accuracies of trials so far."]
    if len(best) > 1:
        sentences = [f"The studies are on {len(best)} sets of images: compare rows of one set only."]
    for row in best:
        study = next(study for study in studies if study.name == row["study"])
        biased = headline_warning(row, recorded_bias(study))
        sentences += [
            _best_sentence(study.card, row),
            *([biased] if biased else []),
            *_claim_sentences(study.card, row),
        ]
    return sentences + [sentence for study in studies if (sentence := _gain_sentence(study))]


def best_rows(rows: Sequence[Row]) -> list[Row]:
    """The row of the best tested model on each set of images, a baseline included, the best of all first.

    Of a synthetic sample only where no other set is.
    """
    measured = [row for row in rows if row["role"] != "reference"]
    tested = [row for row in measured if known(headline_test(row))]
    chosen = [row for row in tested if not row["generated"]] or tested
    best: dict[str, Row] = {}
    for row in sorted(chosen, key=headline_test, reverse=True):
        best.setdefault(str(row["data"]), row)
    return list(best.values())


def _best_sentence(card: Card, row: Row) -> str:
    """The best model, on how many images of what, and what a constant answer reaches there."""
    sure = (
        f" (95 % interval {percent(row['test_low'])} to {percent(row['test_high'])})" if known(row["test_low"]) else ""
    )
    images = f"{whole(row['test_images'])} test images" if known(row["test_images"]) else "the test images"
    fresh = ", none of which is also in train" if known(row["test_accuracy_dedup"]) else ""
    what = card.note or f"data {row['data']}"
    constant = (
        f" One constant answer reaches {percent(row['constant_test'])} %, balanced accuracy is "
        f"{percent(row['balanced_accuracy'])} %, AUC {decimal(row['auc'])}."
        if known(row["constant_test"])
        else ""
    )
    odd = f" This model {row['verdict']}." if str(row["verdict"]).startswith("says") else ""
    odd = " This model orders images worse than chance." if row["verdict"] == "worse than chance" else odd
    return (
        f"Best test accuracy: {row['model']} of study {row['study']} ({row['role']}): {percent(headline_test(row))} %"
        f"{sure} on {images}{fresh} ({what}).{constant}{odd}"
    )


def _claim_sentences(card: Card, row: Row) -> list[str]:
    """How the best model stands to the claim on its data set's card, on all test images; nothing without a card."""
    if card.claim is None or card.claim.test_accuracy is None:
        return []
    claimed = card.claim.test_accuracy
    claim = f"The {card.claim.study} claims {percent(claimed)} % on all {card.images['test']:,} test images"
    if not row["whole_test"]:
        return [f"{claim}: not comparable with {whole(row['test_images_all'])} test images."]
    value, low, high = row["test_accuracy"], row["test_all_low"], row["test_all_high"]
    reached = f"{claim}; on these this model reaches {percent(value)} % {interval(low, high)}"
    if not known(low) or low <= claimed <= high:
        return [f"{reached}, an interval that contains the claim."]
    points = 100 * (value - claimed)
    return [f"{reached}, {abs(points):.2f} points {'above' if points > 0 else 'below'} the claim."]


def _gain_sentence(study: Study) -> str:
    """What tuning gained, between models that were retrained alike; empty before that."""
    if study.is_blend:
        return f"{study.name}: a blend of models of other studies ({study.records.blend.words})."
    if not study.dimensions:
        return f"{study.name}: one configuration was trained, nothing was searched."
    winner = study.outcome("tuned")
    if winner is None:
        return ""
    if winner.trial_id == 0:
        return f"{study.name}: no configuration did better than the hand-picked baseline."
    gained = study_gain(study)
    if gained is None:
        return ""
    chance = ", so this may be chance" if gained.low <= 0 <= gained.high else ""
    return (
        f"{study.name}: tuning changed the test accuracy by {100 * gained.value:+.2f} points over the baseline; 95 % "
        f"interval {100 * gained.low:+.2f} to {100 * gained.high:+.2f}{chance}."
    )


def _board(studies: Sequence[Study]) -> list[dict[str, str | Cell]]:
    """A line for each model: name, test accuracy, gain, duration."""
    took = {study.name: _took(study) for study in studies}
    rows = [row for row in main_rows(comparison_table(studies)) if row["role"] != "reference"]
    several = len({str(row["data"]) for row in rows}) > 1
    return [_board_line(row, took.get(str(row["study"]), ""), several) for row in rows]


def _board_line(row: Row, took: str, several: bool) -> dict[str, str | Cell]:
    """`several`: whether rows are on several sets of images, so that each names its set."""
    gain, _, limits = accuracy_cells(row)["Gain, points"].partition(" ")
    small = [
        Small(interval(row["test_low"], row["test_high"])),
        Small(set_name(row) if several else "synthetic sample" if row["generated"] else ""),
        Small(f"gain {gain} {limits}" if gain != NOTHING else "", "roomy"),  # on a telephone the sentences have it
        Small(took, "took"),
    ]
    name = str(row["study"])
    test = Cell(percent(headline_test(row)), [small[0], *(one for one in small[1:] if one.text)])
    return {"Study": Cell(name, study=name, strong=False), "Test %": test}


def _took(study: Study) -> str:
    """How long the study ran, "" where that is not recorded."""
    took = wall_time(study.records.environment.seconds)
    return "" if took == NOTHING else took


def _best_command(studies: Sequence[Study], best: Row | None) -> str:
    """The command that trains the model of the first sentence again; "" before there is one."""
    role: Role = "baseline" if best and best["role"] == "baseline" else "tuned"
    return next((winner_command(study, role) for study in studies if best and study.name == best["study"]), "")


def _about(studies: Sequence[Study]) -> str:
    """When and with what the report was made, and how long its studies ran."""
    recorded = [study.records.environment.seconds for study in studies]
    in_all = wall_time(sum(seconds for seconds in recorded if 0 < seconds < math.inf))
    count = f"{len(studies)} {'study' if len(studies) == 1 else 'studies'}"
    ran = count if in_all == NOTHING else f"{count}, {in_all} in all"
    return " · ".join((f"{datetime.now(UTC):%Y-%m-%d}", f"cifake-ray {__version__}", ran))

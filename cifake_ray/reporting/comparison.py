"""Studies -> the comparison table: a row for each study's model, best first, then baselines, then claims of others."""

import functools
import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from cifake_ray.reporting.formatting import Row, headline_test, rows_of
from cifake_ray.reporting.load import Role, Study, cards_of, number, section
from cifake_ray.reporting.verdict import TRAIN_CHECK_IMAGES, answer_verdict, verdict
from cifake_ray.reporting.winners import study_gain
from cifake_ray.stats.classification import constant_accuracy
from cifake_ray.stats.intervals import difference_interval, wilson

COLUMNS = (
    "study", "model", "role", "weights", "trials", "stopped", "failed", "epochs", "params_trained", "params_total",
    "train_accuracy", "val_accuracy", "gap", "test_accuracy", "test_accuracy_dedup", "test_low", "test_high", "auc",
    "f1_fake", "ece", "core_seconds", "seeds", "data", "source",
)  # fmt: skip
EXTRA_COLUMNS = (
    "train_low", "train_high", "val_low", "val_high", "gap_low", "gap_high", "test_all_low", "test_all_high",
    "verdict", "verdict_reason", "trial_id", "feature_core_seconds", "retrain_core_seconds", "note",
    "balanced_accuracy", "test_images", "test_images_all", "constant_test", "constant_val", "gain", "gain_low",
    "gain_high", "baseline_test", "cifake", "whole_test", "generated",
)  # fmt: skip
_WHOLE = ["trials", "stopped", "failed", "epochs", "params_trained", "params_total", "seeds", "trial_id", "test_images",
          "test_images_all"]  # fmt: skip

CLAIM = "claim of others, not measured here"
RANDOM_NOTE = "random weights (untrained backbone)"


def comparison_table(studies: Sequence[Study]) -> pd.DataFrame:
    """A row a study (role tuned, or trained where nothing was searched), then baselines, then claims of others.

    Columns: COLUMNS, then EXTRA_COLUMNS. Each kind of row by test accuracy, best first; a baseline that is the tuned
    model has no row of its own, and claims appear only beside studies on the data set that they are about.
    Accuracies, gap, gain, AUC, F1 (positive class FAKE) and ECE are 0..1; what is not measured is empty (NaN).
    test_low, test_high, auc, f1_fake, ece, balanced_accuracy, gain and constant_test (the share of the larger class,
    which one constant answer reaches) belong to the headline: test images without duplicates of train images.
    """
    return _compared(tuple(studies))


@functools.lru_cache(maxsize=1)  # several sections read it
def _compared(studies: tuple[Study, ...]) -> pd.DataFrame:
    rows = _best_first([_measured(study, "tuned") for study in studies])
    rows += _best_first([_measured(study, "baseline") for study in studies if not baseline_is_tuned(study)])
    rows += [
        reference.row() | {"role": "reference", "data": card.title, "verdict": "not judged", "note": CLAIM}
        for card in cards_of(studies)
        for reference in card.references
    ]
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *EXTRA_COLUMNS])
    return frame.astype(dict.fromkeys(_WHOLE, "Int64"))


def main_rows(frame: pd.DataFrame) -> list[Row]:
    """The rows of the table: one a study, then claims of others."""
    return [row for row in rows_of(frame) if row["role"] != "baseline"]


def baseline_rows(frame: pd.DataFrame) -> list[Row]:
    """The baselines that are another model than their study's tuned one."""
    return [row for row in rows_of(frame) if row["role"] == "baseline"]


def baseline_is_tuned(study: Study) -> bool:
    """Whether the study has one model only: nothing was searched, or no configuration did better than trial 0."""
    return not study.dimensions or study.trial("tuned").get("trial_id") == 0


def _best_first(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """By test accuracy, then validation accuracy, highest first; those without either last, in the order given."""

    def key(row: dict[str, Any]) -> list[float]:
        values = (headline_test(row), row["val_accuracy"])
        return [math.inf if math.isnan(value) else -value for value in values]

    return sorted(rows, key=key)


def image_counts(study: Study) -> tuple[int | None, int | None]:
    """Images on which the training and the validation accuracy were measured; None where not recorded."""
    split = section(study.data, "split")
    train, val = split.get("train"), split.get("validation")
    return min(int(train), TRAIN_CHECK_IMAGES) if train else None, int(val) if val else None


def data_name(study: Study) -> str:
    """The images in a few words: what they are, which subset, and the fingerprint's first 8 digits."""
    source = str(study.data.get("source") or study.experiment.data.source)
    name = study.card.title or PurePath(source).name or source
    limit = study.experiment.data.limit
    drawn = section(study.data, "test_drawn").get("fraction")
    parts = [
        name,
        f"{limit:,} images of train" if limit else "",
        f"test part drawn: {100 * drawn:.0f} %" if drawn else "",
    ]
    parts += [str(study.data.get("fingerprint") or "")[:8]]
    return ", ".join(part for part in parts if part)


def seed_curve(winner: dict[str, Any]) -> pd.DataFrame:
    """The learning curves of a retrained model: one row an epoch and seed, columns of curves.csv and `seed`."""
    rows = [
        {"seed": seed.get("seed"), **epoch} for seed in winner.get("seeds") or [] for epoch in seed.get("curve") or []
    ]
    return pd.DataFrame(rows)


def model_curve(study: Study, role: Role) -> pd.DataFrame:
    """Learning curves behind a row: every seed of the retraining, else the trial's own (seed 0)."""
    retrained = seed_curve(study.winner(role))
    if not retrained.empty:
        return retrained
    trial = study.trial(role).get("trial_id", -1)
    own: pd.DataFrame = study.curves[study.curves["trial_id"] == trial]
    return own.assign(seed=0)


def _measured(study: Study, role: Role) -> dict[str, Any]:
    winner, trial = study.winner(role), study.trial(role)
    weights = str(winner.get("weights") or trial.get("weights") or study.experiment.model.weights_label)
    return {
        "study": study.name,
        "model": study.experiment.model.label,
        "role": role if role == "baseline" or study.dimensions else "trained",
        "weights": weights,
        "epochs": winner.get("epochs", trial.get("epochs")),
        "params_trained": winner.get("params_trained"),
        "params_total": winner.get("params_total"),
        "seeds": len(winner.get("seeds") or []),
        "data": data_name(study),
        "source": f"measured, run {study.name}",
        "trial_id": winner.get("trial_id", trial.get("trial_id")),
        "note": "; ".join(_notes(study, role, weights)),
        **_counts(study, role, trial),
        **_costs(study, role, winner, trial),
        **_accuracies(study, role, winner, trial),
        **_test_scores(winner),
        **_answers(study, role, winner),
        **(_gain(study) if role == "tuned" else {}),
    }


def _answers(study: Study, role: Role, winner: dict[str, Any]) -> dict[str, Any]:
    """On how many images of what the row was tested, and what a constant answer reaches on them."""
    stored, fresh = study.stored, study.predictions
    if stored is None or fresh is None or role not in fresh.p_fake:
        stored = fresh = None
    classes = list(section(study.data, "train").values())
    return {
        "test_images": len(fresh.labels) if fresh else None,
        "test_images_all": len(stored.labels) if stored else None,
        "constant_test": constant_accuracy(fresh.labels) if fresh and len(fresh.labels) else math.nan,
        "constant_val": max(classes) / sum(classes) if sum(classes) else math.nan,
        "balanced_accuracy": number(winner, "mean", "test_dedup", "balanced_accuracy", "value"),
        "cifake": study.card.name == "cifake",
        "whole_test": study.whole_test,
        "generated": study.card.generated,
    }


def _gain(study: Study) -> dict[str, float]:
    """What tuning gained in test accuracy over the baseline that was retrained alike, and the baseline's own."""
    found = study_gain(study)
    if found is None or baseline_is_tuned(study):
        return {}
    baseline = number(study.winner("baseline"), "mean", "test_dedup", "accuracy", "value")
    return {"gain": found.value, "gain_low": found.low, "gain_high": found.high, "baseline_test": baseline}


def _counts(study: Study, role: Role, trial: dict[str, Any]) -> dict[str, int]:
    if role == "tuned":
        counts = study.counts()
        return {"trials": study.finished(), "stopped": counts["stopped"], "failed": counts["failed"]}
    status = trial.get("status")
    ended = status in ("completed", "stopped", "failed")
    return {"trials": int(ended), "stopped": int(status == "stopped"), "failed": int(status == "failed")}


def _costs(study: Study, role: Role, winner: dict[str, Any], trial: dict[str, Any]) -> dict[str, float]:
    """Core-seconds: all trials for the tuned model, its own trial for the baseline; features and retraining apart."""
    spent = study.trials["cpu_seconds"]
    own = trial.get("cpu_seconds", math.nan)
    return {
        "core_seconds": float(spent.sum(min_count=1)) if role == "tuned" else float(own),
        "feature_core_seconds": number(study.environment, "features", "cpu_seconds"),
        "retrain_core_seconds": number(winner, "cpu_seconds"),
    }


def _accuracies(study: Study, role: Role, winner: dict[str, Any], trial: dict[str, Any]) -> dict[str, Any]:
    measured = _reached(winner) or trial
    train, val = (float(measured.get(key, math.nan)) for key in ("train_accuracy", "val_accuracy"))
    train_images, val_images = image_counts(study)
    constant = constant_accuracy(study.predictions.labels) if study.predictions else math.nan
    judged = answer_verdict(
        winner.get("answers") or [], number(winner, "mean", "test_dedup", "auc", "value"), constant
    ) or verdict(train, val, train_images, val_images, _val_by_epoch(model_curve(study, role)))
    train_low, train_high = wilson(train, train_images)
    val_low, val_high = wilson(val, val_images)
    gap_low, gap_high = difference_interval(train, train_images, val, val_images)
    return {
        "train_accuracy": train, "train_low": train_low, "train_high": train_high,
        "val_accuracy": val, "val_low": val_low, "val_high": val_high,
        "gap": train - val, "gap_low": gap_low, "gap_high": gap_high,
        "verdict": judged.word, "verdict_reason": judged.reason,
    }  # fmt: skip


def _reached(winner: dict[str, Any]) -> dict[str, Any]:
    """Mean training and validation accuracy over seeds: as noted by the test, else of the retrainings so far."""
    if mean := section(winner, "mean"):
        return mean
    seeds = winner.get("seeds") or []
    keys = ("train_accuracy", "val_accuracy") if seeds else ()
    return {key: sum(number(seed, key) for seed in seeds) / len(seeds) for key in keys}


def _test_scores(winner: dict[str, Any]) -> dict[str, float]:
    """Means over seeds; interval, AUC, F1 and ECE without duplicates, or of all images where those are not recorded."""
    everything = section(winner, "mean", "test")
    headline = section(winner, "mean", "test_dedup") or everything
    return {
        "test_accuracy": number(everything, "accuracy", "value"),
        "test_all_low": number(everything, "accuracy", "low"),
        "test_all_high": number(everything, "accuracy", "high"),
        "test_accuracy_dedup": number(winner, "mean", "test_dedup", "accuracy", "value"),
        "test_low": number(headline, "accuracy", "low"),
        "test_high": number(headline, "accuracy", "high"),
        **{key: number(headline, key, "value") for key in ("auc", "f1_fake", "ece")},
    }


def _val_by_epoch(curve: pd.DataFrame) -> list[float]:
    """Validation accuracy by epoch, mean over seeds."""
    if curve.empty:
        return []
    return [float(value) for value in curve.groupby("epoch")["val_accuracy"].mean()]


def _notes(study: Study, role: Role, weights: str) -> list[str]:
    notes = []
    if weights == "random":
        notes.append(RANDOM_NOTE)
    if not study.winner(role) and study.trial(role).get("val_accuracy", math.nan) != study.trial(role).get(
        "val_accuracy"
    ):
        notes.append("no result yet")
    elif not section(study.winner(role), "mean", "test"):
        notes.append("not tested" if _reached(study.winner(role)) else "not tested; accuracies of one trial")
    elif study.dimensions and study.winner("tuned").get("trial_id") == 0:
        notes.append("the baseline was the best configuration")
    return notes

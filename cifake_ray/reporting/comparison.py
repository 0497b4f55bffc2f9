"""Studies -> the comparison table: a row for each study's model, best first, then baselines, then claims of others."""

import functools
import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

import pandas as pd

from cifake_ray.console import counted
from cifake_ray.reporting.formatting import Row, groups_text, headline_test, known, rows_of
from cifake_ray.reporting.load import Role, Study, cards_of, state_of
from cifake_ray.reporting.verdict import TRAIN_CHECK_IMAGES, Verdict, answer_verdict, verdict
from cifake_ray.reporting.winners import study_gain
from cifake_ray.runs.records import Mean, Winner
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
    """A row a study (role tuned, trained where nothing was searched, or blend), then baselines, then claims of others.

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
    split = study.records.environment.data.split
    train, val = split.get("train"), split.get("validation")
    return min(train, TRAIN_CHECK_IMAGES) if train else None, val or None


def data_name(study: Study) -> str:
    """The images in a few words: what they are, which subset, and the fingerprint's first 8 digits."""
    data = study.records.environment.data
    source = data.source or study.experiment.data.source
    name = study.card.title or PurePath(source).name or source
    limit = study.experiment.data.limit
    drawn = data.test_drawn.fraction if data.test_drawn else 0.0
    parts = [
        name,
        f"{limit:,} images of train" if limit else "",
        f"test part drawn: {100 * drawn:.0f} %" if drawn else "",
        (data.fingerprint or "")[:8],
    ]
    return ", ".join(part for part in parts if part)


def seed_curve(winner: Winner | None) -> pd.DataFrame:
    """The learning curves of a retrained model: one row an epoch and seed, columns of curves.csv and `seed`."""
    seeds = winner.seeds if winner else []
    return pd.DataFrame([{"seed": seed.seed, **dict(epoch)} for seed in seeds for epoch in seed.curve])


def model_curve(study: Study, role: Role) -> pd.DataFrame:
    """Learning curves behind a row: every seed of the retraining, else the trial's own (seed 0)."""
    retrained = seed_curve(study.outcome(role))
    if not retrained.empty:
        return retrained
    trial = study.trial(role).get("trial_id", -1)
    own: pd.DataFrame = study.curves[study.curves["trial_id"] == trial]
    return own.assign(seed=0)


def _measured(study: Study, role: Role) -> dict[str, Any]:
    winner, trial = study.outcome(role), study.trial(role)
    weights = str((winner and winner.weights) or trial.get("weights") or study.experiment.model.weights_label)
    return {
        "study": study.name,
        "model": study.model_label,
        "role": _role(study, role),
        "weights": weights,
        "epochs": winner.epochs if winner else trial.get("epochs"),
        "params_trained": winner.params_trained if winner else None,
        "params_total": winner.params_total if winner else None,
        "seeds": len(winner.seeds) if winner else 0,
        "data": data_name(study),
        "source": f"measured, run {study.name}",
        "trial_id": winner.trial_id if winner else trial.get("trial_id"),
        "note": "; ".join(_notes(study, role, weights)),
        **({} if study.is_blend else _counts(study, role, trial)),
        **_costs(study, role, winner, trial),
        **_accuracies(study, role, winner, trial),
        **_test_scores(study.mean(role)),
        **_answers(study, role),
        **(_gain(study) if role == "tuned" else {}),
    }


def _role(study: Study, role: Role) -> str:
    """`unfinished` for the best trial so far of a search that has not ended."""
    if role == "baseline":
        return role
    if study.is_blend:
        return "blend"
    if _is_unfinished(study):
        return "unfinished"
    return "tuned" if study.dimensions else "trained"


def _is_unfinished(study: Study) -> bool:
    return study.outcome("tuned") is None and state_of(study) in ("unfinished", "running", "empty")


def _answers(study: Study, role: Role) -> dict[str, Any]:
    """On how many images of what the row was tested, and what a constant answer reaches on them."""
    stored, fresh = study.stored, study.predictions
    if stored is None or fresh is None or role not in fresh.p_fake:
        stored = fresh = None
    classes = list(study.records.environment.data.train.values())
    return {
        "test_images": len(fresh.labels) if fresh else None,
        "test_images_all": len(stored.labels) if stored else None,
        "constant_test": constant_accuracy(fresh.labels) if fresh and len(fresh.labels) else math.nan,
        "constant_val": max(classes) / sum(classes) if sum(classes) else math.nan,
        "balanced_accuracy": study.mean(role).test_dedup.balanced_accuracy.value,
        "cifake": study.card.name == "cifake",
        "whole_test": study.whole_test,
        "generated": study.card.generated,
    }


def _gain(study: Study) -> dict[str, float]:
    """What tuning gained in test accuracy over the baseline that was retrained alike, and the baseline's own."""
    found = study_gain(study)
    if found is None or baseline_is_tuned(study):
        return {}
    baseline = study.mean("baseline").test_dedup.accuracy.value
    return {"gain": found.value, "gain_low": found.low, "gain_high": found.high, "baseline_test": baseline}


def _counts(study: Study, role: Role, trial: dict[str, Any]) -> dict[str, int]:
    if role == "tuned":
        counts = study.counts()
        return {"trials": study.finished(), "stopped": counts["stopped"], "failed": counts["failed"]}
    status = trial.get("status")
    ended = status in ("completed", "stopped", "failed")
    return {"trials": int(ended), "stopped": int(status == "stopped"), "failed": int(status == "failed")}


def _costs(study: Study, role: Role, winner: Winner | None, trial: dict[str, Any]) -> dict[str, float]:
    """Core-seconds: all trials for the tuned model, its own trial for the baseline; features and retraining apart."""
    spent = study.trials["cpu_seconds"]
    own, features = trial.get("cpu_seconds", math.nan), study.records.environment.features
    return {
        "core_seconds": float(spent.sum(min_count=1)) if role == "tuned" else float(own),
        "feature_core_seconds": features.cpu_seconds if features else math.nan,
        "retrain_core_seconds": winner.cpu_seconds if winner else math.nan,
    }


def _accuracies(study: Study, role: Role, winner: Winner | None, trial: dict[str, Any]) -> dict[str, Any]:
    measured = _reached(winner) or trial
    train, val = (float(measured.get(key, math.nan)) for key in ("train_accuracy", "val_accuracy"))
    train_images, val_images = image_counts(study)
    constant = constant_accuracy(study.predictions.labels) if study.predictions else math.nan
    judged = answer_verdict(winner.answers if winner else [], study.mean(role).test_dedup.auc.value, constant)
    if judged is None and winner is None and _is_unfinished(study):
        judged = Verdict("not judged", f"the study is unfinished: {_progress(study)}")
    elif judged is None and study.is_blend:
        judged = Verdict("not judged", "a blend is not trained; its members are judged in their studies")
    elif judged is None:
        judged = verdict(train, val, train_images, val_images, _val_by_epoch(model_curve(study, role)))
    train_low, train_high = wilson(train, train_images)
    val_low, val_high = wilson(val, val_images)
    gap_low, gap_high = difference_interval(train, train_images, val, val_images)
    return {
        "train_accuracy": train, "train_low": train_low, "train_high": train_high,
        "val_accuracy": val, "val_low": val_low, "val_high": val_high,
        "gap": train - val, "gap_low": gap_low, "gap_high": gap_high,
        "verdict": judged.word, "verdict_reason": judged.reason,
    }  # fmt: skip


def _progress(study: Study) -> str:
    """`3 of 10 trials`."""
    return f"{study.finished()} of {counted(study.experiment.search.trials, 'trial')}"


def _reached(winner: Winner | None) -> dict[str, float]:
    """Mean training and validation accuracy over seeds: as noted by the test, else of the retrainings so far."""
    if winner is None or (winner.mean.empty and not winner.seeds):
        return {}
    if not winner.mean.empty:
        return {"train_accuracy": winner.mean.train_accuracy, "val_accuracy": winner.mean.val_accuracy}
    return {
        "train_accuracy": sum(seed.train_accuracy for seed in winner.seeds) / len(winner.seeds),
        "val_accuracy": sum(seed.val_accuracy for seed in winner.seeds) / len(winner.seeds),
    }


def _test_scores(mean: Mean) -> dict[str, float]:
    """Means over seeds; interval, AUC, F1 and ECE without duplicates, or of all images where those are not recorded."""
    everything, headline = mean.test.accuracy, mean.headline
    return {
        "test_accuracy": everything.value,
        "test_all_low": everything.low,
        "test_all_high": everything.high,
        "test_accuracy_dedup": mean.test_dedup.accuracy.value,
        "test_low": headline.accuracy.low,
        "test_high": headline.accuracy.high,
        "auc": headline.auc.value,
        "f1_fake": headline.f1_fake.value,
        "ece": headline.ece.value,
    }


def _val_by_epoch(curve: pd.DataFrame) -> list[float]:
    """Validation accuracy by epoch, mean over seeds."""
    if curve.empty:
        return []
    return [float(value) for value in curve.groupby("epoch")["val_accuracy"].mean()]


def _notes(study: Study, role: Role, weights: str) -> list[str]:
    notes = ["weights chosen on validation"] if study.is_blend else []
    winner, tuned, accuracy = study.outcome(role), study.outcome("tuned"), study.trial(role).get("val_accuracy")
    if "random" in weights.split("+"):
        notes.append(RANDOM_NOTE)
    if study.experiment.data.leave_out:
        notes.append(f"trained without {groups_text(study.experiment.data.leave_out)}")
    if unseen := study.records.environment.data.unseen:
        notes.append(f"chosen by generator {', '.join(unseen)}, which did not train")
    if winner is None and not known(accuracy):
        notes.append("no result yet")
    elif not study.tested(role):
        notes.append("not tested" if _reached(winner) else "not tested; accuracies of one trial")
    elif study.dimensions and tuned is not None and tuned.trial_id == 0:
        notes.append("the baseline was the best configuration")
    if winner is None and _is_unfinished(study):
        notes.append(f"unfinished: {_progress(study)}")
    return notes

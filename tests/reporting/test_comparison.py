"""The comparison table: its columns, what each number is, and what half-finished runs give."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from cifake_ray.data.datasets.sample import CARD as SAMPLE
from cifake_ray.experiment import save_experiment
from cifake_ray.reporting.comparison import COLUMNS, comparison_table
from cifake_ray.reporting.load import Study, load
from cifake_ray.reporting.sections import document, for_terminal, head
from cifake_ray.reporting.sections.head import headlines
from cifake_ray.reporting.sections.missing import missing
from cifake_ray.reporting.sections.reading import short_notes
from cifake_ray.reporting.writers import terminal
from cifake_ray.reporting.writers.markdown import markdown
from cifake_ray.stats.intervals import wilson

from .conftest import MakeRun, store_predictions

ISSUE_COLUMNS = (
    "study,model,role,weights,trials,stopped,failed,epochs,params_trained,params_total,train_accuracy,val_accuracy,gap,"
    "test_accuracy,test_accuracy_dedup,test_low,test_high,auc,f1_fake,ece,core_seconds,seeds,data,source"
)


def text_of(study: Study) -> str:
    """comparison.md over this study."""
    return markdown(document([study]))


def row(frame: pd.DataFrame, role: str) -> dict[str, Any]:
    return frame[frame["role"] == role].iloc[0].to_dict()


def test_table_begins_with_the_agreed_columns(make_run: MakeRun) -> None:
    frame = comparison_table([load(make_run())])
    assert ",".join(COLUMNS) == ISSUE_COLUMNS
    assert ",".join(frame.columns).startswith(ISSUE_COLUMNS)
    assert list(frame["role"]) == ["tuned", "baseline", "reference", "reference", "reference"]
    assert len(set(frame["study"][2:])) == 3  # each claim has a name of its own


def test_headline_interval_and_scores_belong_to_the_images_without_duplicates(make_run: MakeRun) -> None:
    tuned = row(comparison_table([load(make_run())]), "tuned")
    assert tuned["test_accuracy"] == pytest.approx(0.95)  # 20 of 400 wrong
    assert tuned["test_accuracy_dedup"] == pytest.approx(373 / 392)  # 19 of 392 wrong
    assert (tuned["test_low"], tuned["test_high"]) == pytest.approx(wilson(373 / 392, 392))
    assert (tuned["test_images"], tuned["test_images_all"]) == (392, 400)
    assert tuned["constant_test"] == pytest.approx(200 / 392)  # 8 of the FAKE images are copies
    assert tuned["balanced_accuracy"] == pytest.approx((173 / 192 + 1) / 2)  # all errors are FAKE images
    assert tuned["seeds"] == 3
    assert tuned["gap"] == pytest.approx(0.018)
    assert tuned["verdict"] == "no over- or underfitting"


def test_core_seconds_are_all_trials_for_tuned_and_its_own_for_the_baseline(make_run: MakeRun) -> None:
    frame = comparison_table([load(make_run(trials=12))])
    assert row(frame, "tuned")["core_seconds"] == 120
    assert row(frame, "baseline")["core_seconds"] == 10
    assert (row(frame, "tuned")["trials"], row(frame, "tuned")["stopped"]) == (12, 8)


def test_without_test_json_rows_are_the_best_trial_and_trial_0(make_run: MakeRun) -> None:
    study = load(make_run(parts="environment trials curves"))
    frame = comparison_table([study])
    tuned, baseline = row(frame, "tuned"), row(frame, "baseline")
    assert tuned["val_accuracy"] == study.trials["val_accuracy"].max()
    assert tuned["trial_id"] == study.trials["val_accuracy"].idxmax()
    assert baseline["val_accuracy"] == pytest.approx(0.93)
    assert math.isnan(tuned["test_accuracy"])
    assert "not tested; accuracies of one trial" in tuned["note"]
    assert any("not been retrained" in sentence for sentence in missing(study))


def test_train_interval_uses_at_most_ten_thousand_images(make_run: MakeRun) -> None:
    tuned = row(comparison_table([load(make_run())]), "tuned")
    # Wilson, p = 0.968, n = 10,000
    assert (tuned["train_low"], tuned["train_high"]) == pytest.approx((0.964367, 0.971274), abs=1e-6)
    assert tuned["val_low"] == pytest.approx(0.946892, abs=1e-6)  # p = 0.95, n = 20,000


@pytest.mark.parametrize("parts", ["", "environment", "trials", "curves", "trials curves", "test"])
def test_half_finished_run_gives_rows_and_says_what_is_missing(make_run: MakeRun, parts: str) -> None:
    study = load(make_run(parts=parts))
    frame = comparison_table([study])
    ended = "trials" in parts or parts == "test"
    assert list(frame["role"])[:2] == ["tuned" if ended else "unfinished", "baseline"]
    assert missing(study)
    assert text_of(study)


def test_all_trials_failed_is_said_in_words(make_run: MakeRun) -> None:
    def fail(rows: list[dict[str, Any]]) -> None:
        for each in rows:
            each.update(status="failed", train_accuracy=None, val_accuracy=None, val_loss=None, error="boom")

    study = load(make_run(trials=3, change=fail, parts="environment trials"))
    assert any("All 3 trials failed" in sentence for sentence in missing(study))
    assert row(comparison_table([study]), "tuned")["failed"] == 3


def test_winner_without_test_scores_keeps_its_accuracies(make_run: MakeRun) -> None:
    run = make_run()
    test = json.loads((run / "test.json").read_text())
    for winner in test["winners"]:
        winner["mean"] = {"train_accuracy": 0.97, "val_accuracy": 0.95}
        for seed in winner["seeds"]:
            del seed["test"], seed["test_dedup"]
    (run / "test.json").write_text(json.dumps(test))
    tuned = row(comparison_table([load(run)]), "tuned")
    assert tuned["val_accuracy"] == 0.95
    assert math.isnan(tuned["test_accuracy"])


def test_retrained_winner_before_its_test_is_the_mean_of_its_seeds(make_run: MakeRun) -> None:
    run = make_run()
    noted = json.loads((run / "test.json").read_text())
    for winner in noted["winners"]:
        del winner["mean"]
    (run / "winners.json").write_text(json.dumps({"schema": 1, "winners": noted["winners"]}))
    (run / "test.json").unlink()
    study = load(run)
    tuned = row(comparison_table([study]), "tuned")
    assert tuned["val_accuracy"] == pytest.approx(0.95)  # 0.948, 0.950, 0.952
    assert tuned["seeds"] == 3
    assert any("tested yet" in sentence for sentence in missing(study))


def test_baseline_that_won_has_one_row(make_run: MakeRun) -> None:
    def baseline_is_best(rows: list[dict[str, Any]]) -> None:
        rows[0]["val_accuracy"] = 0.99

    study = load(make_run(change=baseline_is_best))
    frame = comparison_table([study])
    assert "baseline" not in set(frame["role"])
    assert "the baseline was the best configuration" in row(frame, "tuned")["note"]
    assert "no configuration did better than the hand-picked baseline" in text_of(study)
    assert missing(study) == []


def test_newer_retraining_without_test_is_said(make_run: MakeRun) -> None:
    run = make_run()
    (run / "winners.json").write_text((run / "test.json").read_text())
    assert any("newer retraining" in sentence for sentence in missing(load(run)))


def test_references_are_marked_as_claims(make_run: MakeRun) -> None:
    study = load(make_run())
    frame = comparison_table([study])
    claims = frame[frame["role"] == "reference"]
    assert list(claims["train_accuracy"])[:2] == [0.92, 0.98]
    assert list(claims["val_accuracy"])[:2] == [0.88, 0.96]
    assert list(claims["test_accuracy"])[2] == 0.9298
    assert claims["note"].str.contains("claim of others").all()
    assert "arXiv 2303.14126" in text_of(study)


def test_generated_sample_and_random_weights_are_marked(make_run: MakeRun) -> None:
    study = load(make_run("r", "resnet50", generated=True, weights="random"))
    frame = comparison_table([study])
    assert row(frame, "tuned")["note"] == "random weights (untrained backbone)"
    text = text_of(study)
    assert text.count(SAMPLE.note) == 2  # in the first sentence, and where the table is explained
    assert "CIFAKE" not in text.replace(SAMPLE.note, "")


def test_markdown_table_lines_up_and_shows_intervals(make_run: MakeRun) -> None:
    study = load(make_run())
    text = text_of(study)
    assert "95.15 [92.55, 96.88]" in text
    table = [line for line in text.split("## Accuracy")[1].split("### Baselines")[0].splitlines() if line]
    assert len({len(line) for line in table}) == 1
    assert "Overfitting: training accuracy is more than 2 points" in text


def test_terminal_table_has_a_cell_for_every_column(make_run: MakeRun) -> None:
    section, _ = for_terminal([load(make_run())])
    ((columns, rows),) = terminal.tables(section, None)
    assert {len(cells) for cells in rows} == {len(columns)}
    assert all(isinstance(cell, str) for cells in rows for cell in cells)


def foreign(run: Path, **noted: Any) -> None:
    """Make the run's images others than CIFAKE's; `noted`: what its environment says of them besides."""
    file = run / "environment.json"
    environment = json.loads(file.read_text())
    environment["data"] |= {"fingerprint": "0" * 64, **noted}
    file.write_text(json.dumps(environment))


def test_nothing_is_said_about_cifake_of_other_images(make_run: MakeRun) -> None:
    run = make_run()
    foreign(run)
    study = load(run)
    frame = comparison_table([study])
    text = text_of(study)
    assert "reference" not in set(frame["role"])
    assert not re.search("CIFAR|378|paper|course|Stable Diffusion", text)
    assert "CIFAKE" not in text
    assert study.predictions is not None
    assert study.predictions.subject is None  # file names that look alike are no subjects


def test_claims_stand_beside_cifake_in_a_report_of_several_sets(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b")]
    foreign(runs[1])
    frame = comparison_table([load(run) for run in runs])
    assert dict(zip(frame["study"][:2], frame["cifake"][:2], strict=True)) == {"a": True, "b": False}
    assert (frame["role"] == "reference").sum() == 3
    assert set(frame["data"][:2].str.split(",").str[0]) == {"CIFAKE", "cifake.parquet"}


def test_a_report_on_several_sets_has_a_best_model_for_each_and_says_so_first(make_run: MakeRun) -> None:
    runs = [make_run("a"), make_run("b")]
    foreign(runs[1])
    studies = [load(run) for run in runs]
    said = headlines(studies)
    assert said[0] == "The studies are on 2 sets of images: compare rows of one set only."
    assert [sum(f"of study {name} " in line for line in said) for name in ("a", "b")] == [1, 1]
    assert not head.build(studies).listings
    assert head.build(studies[:1]).listings


def test_part_of_cifake_is_not_compared_with_the_paper(make_run: MakeRun) -> None:
    run = make_run()
    foreign(run, is_cifake=True, test={"FAKE": 500, "REAL": 500})
    study = load(run)
    sentences = headlines([study])
    assert "on 392 test images" in sentences[0]
    assert "not comparable with 400 test images" in sentences[1]
    assert "above" not in " ".join(sentences)


@pytest.mark.parametrize(("wrong", "word"), [(4, "above"), (28, "contains the claim"), (60, "below")])
def test_a_claim_is_beaten_only_outside_the_interval(make_run: MakeRun, wrong: int, word: str) -> None:
    run = make_run()
    write_answers(run, np.repeat(np.array([0, 1], np.uint8), 200), wrong)
    sentence = headlines([load(run)])[1]
    assert word in sentence
    assert sum(other in sentence for other in ("above", "contains the claim", "below")) == 1


def write_answers(run: Path, labels: np.ndarray, wrong: int, only: str = "") -> None:
    """Predictions of every seed that are wrong in the last `wrong` images, or all of them `only` one label."""
    right = np.arange(len(labels)) < len(labels) - wrong
    p_fake = np.where((labels == 0) == right, 0.9, 0.1)
    p_fake = np.full(len(labels), 0.9 if only == "FAKE" else 0.1) if only else p_fake
    arrays = {f"{role}_{seed}": p_fake.astype(np.float32) for role in ("tuned", "baseline") for seed in (1, 2, 3)}
    names = np.arange(len(labels)).astype(str)
    store_predictions(run, {"labels": labels, "names": names, "duplicate": np.zeros(len(labels), bool), **arrays})


def test_a_model_of_one_answer_is_said_to_be_one(make_run: MakeRun) -> None:
    run = make_run()
    write_answers(run, (np.arange(330) < 300).astype(np.uint8), 0, only="REAL")
    foreign(run)
    frame = comparison_table([study := load(run)])
    tuned = row(frame, "tuned")
    assert tuned["test_accuracy_dedup"] == tuned["constant_test"] == pytest.approx(300 / 330)
    assert (tuned["verdict"], tuned["balanced_accuracy"]) == ("says REAL only", 0.5)
    text = text_of(study)
    assert "This model says REAL only." in text
    assert "One constant answer reaches 90.91 %" in text


def test_rows_are_sorted_by_test_accuracy_and_baselines_come_after(make_run: MakeRun) -> None:
    runs = [make_run(name) for name in ("worst", "best", "middle")]
    for run, wrong in zip(runs, (40, 4, 20), strict=True):
        write_answers(run, np.repeat(np.array([0, 1], np.uint8), 200), wrong)
    frame = comparison_table([load(run) for run in runs])
    assert list(frame["study"][:3]) == ["best", "middle", "worst"]
    assert list(frame["role"][:6]) == ["tuned"] * 3 + ["baseline"] * 3


def test_gain_stands_in_the_row_of_its_study(make_run: MakeRun) -> None:
    tuned = row(comparison_table([load(make_run())]), "tuned")
    assert tuned["gain"] == pytest.approx(tuned["test_accuracy_dedup"] - tuned["baseline_test"])
    assert tuned["gain_low"] < tuned["gain"] < tuned["gain_high"]


def test_train_without_a_search_is_trained_not_tuned(make_run: MakeRun) -> None:
    run = make_run()
    experiment = load(run).experiment.model_copy(update={"search_space": {}})
    (run / "experiment.yaml").write_text(save_experiment(experiment))
    frame = comparison_table([load(run)])
    assert list(frame["role"]) == ["trained", "reference", "reference", "reference"]


def test_short_names_of_the_terminal_table_are_explained_below_it(make_run: MakeRun) -> None:
    studies = [load(make_run())]
    notes = " ".join(short_notes(studies, comparison_table(studies)))
    assert "Gap: train % minus val %" in notes
    assert "Core-s: CPU seconds of all trials" in notes

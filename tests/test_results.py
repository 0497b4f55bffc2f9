"""The committed results: every figure of the table follows from the files beside it."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cifake_ray.evaluation.metrics import score_seeds
from cifake_ray.reporting.load import load
from cifake_ray.reporting.publish import disagreements
from cifake_ray.reporting.sections import document
from cifake_ray.reporting.writers.markdown import markdown

RESULTS = Path(__file__).parents[1] / "results"
BACKBONE_BYTES = 2_000_000


def test_committed_table_follows_from_the_committed_files() -> None:
    if not (RESULTS / "comparison.csv").is_file():
        pytest.skip("no results are committed yet")
    assert disagreements(RESULTS) == []


@pytest.mark.cluster
@pytest.mark.parametrize("study", sorted(RESULTS.glob("studies/*")), ids=lambda folder: folder.name)
def test_every_committed_score_follows_from_the_committed_predictions(study: Path) -> None:
    test = json.loads((study / "test.json").read_text())
    with np.load(study / "test_predictions.npz", allow_pickle=False) as arrays:
        labels, fresh = arrays["labels"], ~arrays["duplicate"]
        for winner in test["winners"]:
            p_fake = [arrays[f"{winner['role']}_{seed['seed']}"] for seed in winner["seeds"]]
            for key, rows in (("test", slice(None)), ("test_dedup", fresh)):
                each, mean = score_seeds(labels[rows], [seed[rows] for seed in p_fake])
                noted = [winner["mean"][key], *(seed[key] for seed in winner["seeds"])]
                for found, expected in zip([mean, *each], noted, strict=True):
                    for metric, values in expected.items():
                        # limits of version 0.1 rounded the successes of a mean over seeds to whole images
                        assert found.as_json()[metric] == pytest.approx(values, rel=1e-6, abs=2e-5), (
                            winner["role"],
                            key,
                            metric,
                        )


def test_committed_words_are_those_of_the_committed_studies() -> None:
    table = pd.read_csv(RESULTS / "comparison.csv")
    names = [name for name in dict.fromkeys(table["study"]) if (RESULTS / "studies" / name).is_dir()]
    studies = [load(RESULTS / "studies" / name) for name in names]
    assert (RESULTS / "comparison.md").read_text() == markdown(document(studies))


def test_no_picture_of_the_data_set_and_no_backbone_is_committed() -> None:
    studies = [file for file in RESULTS.glob("studies/**/*") if file.is_file()]
    assert not [file for file in studies if file.suffix in (".png", ".jpg", ".parquet", ".npy")]
    assert not [file for file in studies if file.suffix == ".safetensors" and file.stat().st_size > BACKBONE_BYTES]
    page = RESULTS / "report.html"
    assert not page.is_file() or 'class="gallery"' not in page.read_text()

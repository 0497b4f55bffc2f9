"""The committed results: every figure of the table follows from the files beside it."""

from pathlib import Path

import pytest

from cifake_ray.reporting.publish import disagreements

RESULTS = Path(__file__).parents[1] / "results"
BACKBONE_BYTES = 2_000_000


def test_committed_table_follows_from_the_committed_files() -> None:
    if not (RESULTS / "comparison.csv").is_file():
        pytest.skip("no results are committed yet")
    assert disagreements(RESULTS) == []


def test_no_picture_of_the_data_set_and_no_backbone_is_committed() -> None:
    studies = [file for file in RESULTS.glob("studies/**/*") if file.is_file()]
    assert not [file for file in studies if file.suffix in (".png", ".jpg", ".parquet", ".npy")]
    assert not [file for file in studies if file.suffix == ".safetensors" and file.stat().st_size > BACKBONE_BYTES]
    page = RESULTS / "report.html"
    assert not page.is_file() or 'class="gallery"' not in page.read_text()

"""The Grafana dashboard asks for gauges that studies report, by labels that they have."""

import json
import re
from typing import Any

import pytest

from tests.cluster.conftest import CLUSTER

GAUGES = {  # name without Ray's prefix `ray_`, and labels
    "cifake_ray_trials": {"study", "status"},
    "cifake_ray_best_val_accuracy": {"study"},
    "cifake_ray_val_accuracy": {"study", "trial_id"},
    "cifake_ray_images_per_second": {"study"},
}
DASHBOARD: dict[str, Any] = json.loads((CLUSTER / "monitoring" / "cifake-ray.json").read_text())
QUERIES = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
VARIABLES = [variable["query"]["query"] for variable in DASHBOARD["templating"]["list"] if variable["type"] == "query"]


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_names_a_gauge_and_its_labels(query: str) -> None:
    parts = re.fullmatch(r"(?:max|sum) by \(([a-z_, ]+)\) \(ray_([a-z_]+)\{([a-z_]+)=~\"\$study\"\}\)", query)
    assert parts, "an expression of another shape: extend the test"
    by, gauge, filtered = parts.groups()
    assert {*by.split(", "), filtered} <= GAUGES[gauge]


@pytest.mark.parametrize("query", QUERIES)
def test_no_label_that_tells_series_apart_is_summed_away(query: str) -> None:
    by, gauge = re.findall(r"by \(([a-z_, ]+)\) \(ray_([a-z_]+)", query)[0]
    assert set(by.split(", ")) == GAUGES[gauge]


def test_every_gauge_is_shown() -> None:
    assert {gauge for query in QUERIES for gauge in re.findall(r"ray_(cifake_ray_\w+)", query)} == set(GAUGES)


def test_the_choice_of_studies_comes_from_a_gauge() -> None:
    assert VARIABLES == ["label_values(ray_cifake_ray_trials, study)"]


def test_panels_do_not_overlap_and_legends_use_labels_of_their_query() -> None:
    taken = [
        (column, row)
        for panel in DASHBOARD["panels"]
        for column in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for row in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(column for column, _ in taken) < 24
    for target in (target for panel in DASHBOARD["panels"] for target in panel["targets"]):
        for label in re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]):
            assert label in re.findall(r"by \(([^)]*)\)", target["expr"])[0]

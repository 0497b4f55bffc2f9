"""`evaluate --by`: groups of images from elsewhere, recorded, printed and shown in the report."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cifake_ray.cli.show import print_evaluation
from cifake_ray.data import load_labelled
from cifake_ray.detector.load import load_detector
from cifake_ray.errors import InputError
from cifake_ray.evaluation.evaluate import evaluate_run
from cifake_ray.reporting.report import write_report
from cifake_ray.runs.run import Run

from ..generators import TEST, write_generators

CopyOf = Callable[..., Run]


@pytest.fixture
def run(copy_of: CopyOf) -> Run:
    return copy_of("cnn", scored=True)


def test_each_generator_of_other_images_is_scored_against_all_real_ones(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_generators(tmp_path / "other")
    result = evaluate_run(run, source, by="generator")
    assert [(row.value, row.label, row.images) for row in result.groups] == [
        (name, "FAKE", count) for name, count in TEST.items()
    ]
    images = load_labelled(source).images
    p_fake = load_detector(run).p_fake(np.array(images.images))
    generators = np.array(images.table.group_values("generator"))[images.table.groups["generator"]]
    adam = result.groups[0]
    assert adam.right.value == pytest.approx((p_fake[generators == "adam"] > 0.5).mean())
    real = (p_fake[images.labels == 1] <= 0.5).mean()
    assert adam.balanced_accuracy.value == pytest.approx((adam.right.value + real) / 2)
    assert result.groups[2].auc is None  # 12 images
    noted = json.loads((run.evaluations / "other.json").read_text())
    assert noted["groups"] == [row.as_json() for row in result.groups]
    print_evaluation(result)
    assert "generator adam" in capsys.readouterr().out
    write_report([run.path], tmp_path / "out")
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "### Images from elsewhere, by group" in page
    assert "| generator bertha | FAKE  | 24" in page


def test_images_of_one_class_get_the_share_called_fake_by_generator(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(write_generators(tmp_path / "other"))
    lines = (folder / "manifest.csv").read_text().splitlines()
    (folder / "manifest.csv").write_text("\n".join(line for line in lines if ",REAL," not in line))
    result = evaluate_run(run, str(folder), by="generator")
    assert [row.images for row in result.groups] == list(TEST.values())
    assert all(np.isnan(row.balanced_accuracy.value) and row.auc is None for row in result.groups)
    json.dumps(result.as_json(), allow_nan=False)
    print_evaluation(result)
    assert "called FAKE" in capsys.readouterr().out


def test_a_column_that_the_images_lack_is_refused(run: Run, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--by generator: the generators of these images are not known"):
        evaluate_run(run, by="generator")
    with pytest.raises(InputError, match=r"--by camera: .*known of these images: generator"):
        evaluate_run(run, write_generators(tmp_path / "other"), by="camera")
    assert not run.evaluations.exists()

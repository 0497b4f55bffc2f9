"""Leave one group out: which studies that are, and which are left to resume."""

from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment
from cifake_ray.runs.names import create_run
from cifake_ray.tuning.leave_one_out import new_studies, resume_all, resumed_studies, study_names
from cifake_ray.tuning.request import StudyRequest

from ..generators import write_generators


@pytest.fixture
def source(tmp_path: Path) -> str:
    return write_generators(tmp_path / "set")


def request_of(source: str, storage: Path, **data: Any) -> StudyRequest:
    experiment = Experiment.model_validate(
        {
            "name": "mine",
            "model": {"kind": "cnn"},
            "search_space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2}},
            "search": {"trials": 3},
            "data": {"source": source, **data},
        }
    )
    return StudyRequest(experiment, str(storage), "mine")


def test_each_generator_has_a_study_that_leaves_it_out(source: str, tmp_path: Path) -> None:
    found = new_studies(request_of(source, tmp_path / "runs"), "generator")
    assert [one.name for one in found] == ["mine-without-adam", "mine-without-bertha", "mine-without-carl"]
    assert [one.experiment.data.leave_out for one in found] == [
        {"generator": (name,)} for name in ("adam", "bertha", "carl")
    ]  # fmt: skip
    assert not (tmp_path / "runs").exists()


def test_names_have_only_signs_that_runs_may_have_and_are_unique() -> None:
    found = study_names("mine", ["Stable Diffusion v1.4", "Stable/Diffusion v1.4", "ü"])
    assert list(found.values()) == [
        "mine-without-Stable-Diffusion-v1.4", "mine-without-Stable-Diffusion-v1.4-2", "mine-without-group",
    ]  # fmt: skip
    assert max(len(name) for name in study_names("m" * 40, ["x" * 30, "x" * 31]).values()) == 64


@pytest.mark.parametrize(
    ("column", "data", "words"),
    [
        (
            "camera",
            {},
            "--leave-one-out camera: the cameras of these images are not known; known of these images: gener",
        ),
        ("generator", {"leave_out": {"generator": ["adam"]}}, "data.leave_out leaves out generator adam already"),
    ],
)
def test_a_column_that_cannot_be_left_out_is_refused(
    source: str, tmp_path: Path, column: str, data: dict[str, Any], words: str
) -> None:
    with pytest.raises(InputError) as refused:
        new_studies(request_of(source, tmp_path / "runs", **data), column)
    assert words in str(refused.value)


def test_one_generator_alone_is_refused(tmp_path: Path) -> None:
    request = request_of(write_generators(tmp_path / "set", train={"adam": 20}), tmp_path / "runs")
    with pytest.raises(InputError, match="only adam in the train part, so none is left to train on"):
        new_studies(request, "generator")


def test_runs_that_exist_are_resumed_and_the_others_begun(source: str, tmp_path: Path) -> None:
    storage = tmp_path / "runs"
    asked = request_of(source, storage)
    found = new_studies(asked, "generator")
    create_run(storage, found[1].name, found[1].experiment)
    with pytest.raises(InputError, match=r"a run of this name exists; resume all with `cifake-ray tune --resume mine "
                                         r"--storage .* --leave-one-out generator`"):  # fmt: skip
        new_studies(asked, "generator")
    again = resumed_studies(str(storage), "mine", "generator", 5, None)
    assert [(one.name, one.resume) for one in again] == [
        ("mine-without-adam", False), ("mine-without-bertha", True), ("mine-without-carl", False),
    ]  # fmt: skip
    assert [one.experiment.search.trials for one in again] == [5, 5, 5]
    assert [one.experiment.data.leave_out["generator"] for one in again] == [("adam",), ("bertha",), ("carl",)]


def test_resuming_what_was_never_begun_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--resume mine: no run mine-without-… left out a generator"):
        resumed_studies(str(tmp_path), "mine", "generator", None, None)
    assert resume_all("results/runs", "mine", "generator") == "cifake-ray tune --resume mine --leave-one-out generator"

"""What is refused before any cluster is asked, and what a job runs."""

import shlex
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cifake_ray.errors import InputError, WorkError
from cifake_ray.experiment import Experiment
from cifake_ray.jobs import submit
from cifake_ray.jobs.package import Package
from cifake_ray.jobs.probe_nodes import Answer, Node
from cifake_ray.jobs.submit import Submission, ask_cluster, check_paths, check_submission, check_weights, send
from cifake_ray.jobs.versions import versions_here

FROZEN = {"kind": "resnet50", "weights": "random", "image_size": 32}
SPACE = {"head_width": {"type": "int", "low": 32, "high": 512}}


def submission(storage: str = "/shared/runs", source: str = "sample", **sections: Any) -> Submission:
    tree = {"name": "small", "model": {"kind": "cnn"}, "search_space": SPACE, "data": {"source": source}}
    return Submission("small", storage, Experiment.model_validate(tree | sections))


@pytest.mark.parametrize("storage", ["/shared/runs", "s3://bucket/runs", "gs://bucket/runs"])
@pytest.mark.parametrize("source", ["sample", "/shared/cifake", "s3://bucket/cifake"])
def test_shared_paths_and_addresses_are_accepted(storage: str, source: str) -> None:
    check_submission(submission(storage, source))


@pytest.mark.parametrize("storage", ["results/runs", "./runs", "~/runs"])
def test_a_relative_storage_is_refused_with_what_to_name_instead(storage: str) -> None:
    with pytest.raises(InputError, match=r"a relative path, and a job runs elsewhere; name a folder that all nodes"):
        check_submission(submission(storage))
    with pytest.raises(InputError, match="--storage"):
        check_submission(Submission("small", storage))


def test_relative_data_are_refused() -> None:
    with pytest.raises(InputError, match="--data cifake: a relative path"):
        check_submission(submission(source="cifake"))


@pytest.mark.parametrize(
    "sections",
    [
        {"model": FROZEN | {"weights": "w/resnet50.pth"}},
        {
            "model": FROZEN,
            "search_space": {"weights": {"type": "categorical", "choices": ["random", "w/resnet50.pth"]}},
        },
    ],
)
def test_relative_files_of_weights_are_refused(sections: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"weights w/resnet50\.pth: a relative path"):
        check_submission(submission(**sections))


def test_relative_weights_of_one_of_several_backbones_are_refused() -> None:
    timm = {"kind": "timm", "name": "test_vit", "stages": ["blocks.0"], "weights": "w/vit.safetensors"}
    with pytest.raises(InputError, match=r"weights w/vit\.safetensors: a relative path"):
        check_submission(submission(model={"backbones": [FROZEN, timm]}))


def test_a_node_without_the_package_of_the_models_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def answer(_cluster: Any, paths: Any, packages: Any) -> Answer:
        asked.extend(packages)
        versions = versions_here() | dict.fromkeys(packages)
        return Answer([Node("1234abcd", {"versions": versions})], dict.fromkeys(paths, True), None, 1.0, 0.0)

    monkeypatch.setattr(submit, "ask_by_job", answer)
    monkeypatch.setattr(submit, "study_jobs", lambda _: [])
    timm = {"kind": "timm", "name": "test_vit", "stages": ["blocks.0"], "weights": "random"}
    with pytest.raises(InputError, match=r"node 1234abcd lacks timm; install requirements/locked\.txt"):
        ask_cluster(None, submission(model=timm))  # type: ignore[arg-type]
    assert asked == ["timm"]


def test_a_node_without_the_weights_that_its_trials_would_tune_is_named() -> None:
    weights = "/shared/resnet50.pth"
    nodes = [Node("head", {"exists": {weights: True}}), Node("1234abcd", {"exists": {weights: False}})]
    check_weights(submission(model=FROZEN | {"weights": weights}), nodes)  # only the driver reads those of a frozen one
    with pytest.raises(InputError, match=r"weights /shared/resnet50\.pth: node 1234abcd has no such file"):
        check_weights(submission(model=FROZEN | {"weights": weights, "trainable": "all"}), nodes)


def test_what_tune_refuses_is_refused_here() -> None:
    with pytest.raises(InputError, match="nothing to tune"):
        check_submission(submission(search_space={}))
    with pytest.raises(InputError, match="--name"):
        check_submission(Submission("no/name", "/shared/runs", submission().experiment))


def test_the_job_runs_tune_with_the_data_named_again() -> None:
    command = shlex.split(submission("/shared/my runs", "/shared/cifake").entrypoint)
    assert command == [
        *("exec", "python", "-m", "cifake_ray", "tune", "study/experiment.yaml", "--name", "small"),
        *("--data", "/shared/cifake", "--storage", "/shared/my runs"),
    ]


def test_a_resumed_job_runs_tune_resume() -> None:
    command = shlex.split(Submission("small", "s3://bucket/runs", trials=9).entrypoint)
    assert command[4:] == ["tune", "--resume", "small", "--trials", "9", "--storage", "s3://bucket/runs"]
    trusted = shlex.split(Submission("small", "/shared/runs", trust=True).entrypoint)
    assert trusted[4:] == ["tune", "--resume", "small", "--trust", "--storage", "/shared/runs"]


def test_earlier_studies_are_named_in_the_storage_or_by_a_path_on_the_head() -> None:
    asked = replace(submission(), parents=("cnn", "/shared/old/cnn", "s3://bucket/runs/cnn"))
    check_submission(asked)
    words = shlex.split(asked.entrypoint)
    assert [after for word, after in pairwise(words) if word == "--warm-start"] == list(asked.parents)
    with pytest.raises(InputError, match="/shared/old/cnn: the cluster's head has no such path"):
        check_paths(asked, {"/shared/old/cnn": False})
    with pytest.raises(InputError, match="--warm-start old/cnn: a relative path, and a job runs elsewhere"):
        check_submission(replace(asked, parents=("old/cnn",)))


RUN = "/shared/runs/small/experiment.yaml"


def test_a_name_that_is_taken_and_one_that_is_not_there_are_refused() -> None:
    with pytest.raises(
        InputError, match="small: a run of this name exists; resume it with `cifake-ray submit --resume"
    ):
        check_paths(submission(), {RUN: True})
    with pytest.raises(InputError, match="/shared/runs/small: no such run on the cluster's head"):
        check_paths(Submission("small", "/shared/runs"), {RUN: False})


def test_data_that_the_head_lacks_are_refused() -> None:
    with pytest.raises(InputError, match="/shared/cifake: the cluster's head has no such path"):
        check_paths(submission(source="/shared/cifake"), {RUN: False, "/shared/cifake": False})


def test_what_the_head_has_and_what_it_cannot_see_are_accepted() -> None:
    check_paths(submission(source="/shared/cifake"), {RUN: False, "/shared/cifake": True})
    check_paths(Submission("small", "/shared/runs"), {RUN: True})
    check_paths(Submission("small", "s3://bucket/runs"), {})
    check_paths(submission("s3://bucket/runs", "s3://bucket/cifake"), {})


def test_a_submission_that_is_not_confirmed_may_have_begun_and_says_how_to_see_it(tmp_path: Path) -> None:
    class Late:
        def submit_job(self, **_: Any) -> str:
            raise InputError("http://head:8265: no answer in time; see whether the cluster is up")

    words = r"no answer in time; .*; before you submit again, see with `cifake-ray status` whether small-\w{6} runs"
    with pytest.raises(WorkError, match=words):
        send(Late(), submission(), Package(tmp_path, 0, 0))  # type: ignore[arg-type]

"""Rendered manifests: pods sized by the experiment, paths that pods reach, an entrypoint that the program accepts."""

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from cifake_ray import cli
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, load_experiment, validate_experiment
from cifake_ray.jobs.manifest import Group, PodOptions, render_raycluster, render_rayjob, worker_group
from tests.own_net import NET, write_experiment

BUCKET = "s3://bucket/runs"


def experiment(
    *, model: dict[str, Any] | None = None, search: dict[str, Any] | None = None, **resources: Any
) -> Experiment:
    tree = {
        "name": "small",
        "model": model or {"kind": "cnn"},
        "search_space": {"lr": {"type": "float", "low": 1e-4, "high": 1e-2, "log": True}},
        "search": {"trials": 4} | (search or {}),
        "resources": resources,
    }
    return validate_experiment(tree, "test")


def job(text: str) -> dict[str, Any]:
    """The spec of the RayJob among the documents."""
    *_, document = yaml.safe_load_all(text)
    return dict(document["spec"])


def rendered(given: Experiment, storage: str = BUCKET, **asked: Any) -> dict[str, Any]:
    return job(render_rayjob(given, name="small", storage=storage, asked=PodOptions(**asked)))


@pytest.mark.parametrize(
    ("resources", "asked", "expected"),
    [
        ({}, {}, Group("cpu", 2, 4, 0, 12)),
        ({"cpus_per_trial": 8}, {}, Group("cpu", 2, 8, 0, 20)),
        ({"max_concurrent": 12}, {"workers": 3}, Group("cpu", 3, 4, 0, 12)),
        ({"gpus_per_trial": 0.25}, {}, Group("gpu", 2, 4, 1, 12)),
        ({"gpus_per_trial": 0.5, "cpus_per_trial": 2}, {"gpus_per_worker": 4}, Group("gpu", 2, 16, 4, 36)),
        ({"workers_per_trial": 2, "max_concurrent": 2}, {"workers": 2}, Group("cpu", 2, 3, 0, 10)),
        ({}, {"cpus_per_worker": 7, "memory_gib": 5}, Group("cpu", 2, 7, 0, 5)),
    ],
)
def test_pods_are_sized_by_the_experiments_resources(
    resources: dict[str, Any], asked: dict[str, Any], expected: Group
) -> None:
    assert worker_group(experiment(**resources), PodOptions(**asked)) == expected


def test_gpus_are_asked_of_kubernetes_and_the_image_follows() -> None:
    (group,) = rendered(experiment(gpus_per_trial=0.25))["rayClusterSpec"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["image"].endswith("-gpu")


@pytest.mark.parametrize(
    ("storage", "kind"), [("/shared/runs", "persistentVolumeClaim"), (BUCKET, "emptyDir"), ("gs://b", "emptyDir")]
)
def test_the_claim_is_mounted_where_a_path_lies_on_it(storage: str, kind: str) -> None:
    head = rendered(experiment(), storage)["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]
    assert kind in head["volumes"][0]


@pytest.mark.parametrize(
    "storage", ["runs", "results/runs", "/data/runs", "/shared", "/shared/../etc", "s3:/b", "s3://"]
)
def test_a_storage_that_pods_do_not_reach_is_refused(storage: str) -> None:
    with pytest.raises(InputError, match=r"--storage .*pods reach /shared/… .*s3://… and gs://…"):
        rendered(experiment(), storage)


def test_data_and_weights_of_this_machine_are_refused() -> None:
    local = experiment().model_copy(update={"data": experiment().data.model_copy(update={"source": "~/cifake"})})
    with pytest.raises(InputError, match=r"data\.source ~/cifake: outside /shared"):
        rendered(local)
    frozen = experiment(model={"kind": "resnet50", "weights": "resnet50.pth"})
    with pytest.raises(InputError, match=r"model\.weights resnet50\.pth: a relative path"):
        rendered(frozen)


@pytest.mark.parametrize(
    ("resources", "asked", "words"),
    [
        ({"gpus_per_trial": 2}, {"gpus_per_worker": 1}, "--gpus-per-worker 1: one trial requests 2 GPUs"),
        ({"cpus_per_trial": 4}, {"cpus_per_worker": 2}, "--cpus-per-worker 2: one trial requests 4 CPUs"),
    ],
)
def test_a_trial_that_fits_no_pod_is_refused(resources: dict[str, Any], asked: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        worker_group(experiment(**resources), PodOptions(**asked))


@pytest.mark.parametrize(("name", "allowed"), [("cnn", "cnn"), ("My_Study.v2", "my-study-v2")])
def test_a_studys_name_becomes_one_that_kubernetes_allows(name: str, allowed: str) -> None:
    config, document = yaml.safe_load_all(render_rayjob(experiment(), name=name, storage=BUCKET, asked=PodOptions()))
    assert document["metadata"]["name"] == allowed
    assert config["metadata"]["name"] == f"{allowed}-experiment"
    assert document["spec"]["metadata"]["study"] == name


@pytest.mark.parametrize("name", ["1", "a" * 48, "../runs"])
def test_a_name_that_cannot_be_kept_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="--name"):
        render_rayjob(experiment(), name=name, storage=BUCKET, asked=PodOptions())


def test_an_experiment_without_a_search_space_is_refused() -> None:
    with pytest.raises(InputError, match="nothing to tune"):
        rendered(experiment().model_copy(update={"search_space": {}}))


def test_the_deadline_leaves_room_after_the_studys_budget() -> None:
    assert rendered(experiment())["activeDeadlineSeconds"] == 24 * 3600
    assert rendered(experiment(search={"time_budget_s": 600}))["activeDeadlineSeconds"] > 600


def test_the_program_accepts_the_entrypoint_and_the_mounted_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = render_rayjob(experiment(), name="small", storage=BUCKET, asked=PodOptions())
    config, document = yaml.safe_load_all(text)
    file = tmp_path / "experiment.yaml"
    file.write_text(config["data"]["experiment.yaml"])
    assert load_experiment(file) == experiment()
    local = {"/etc/cifake-ray/experiment.yaml": str(file), BUCKET: str(tmp_path / "runs")}
    words = [local.get(word, word) for word in shlex.split(document["spec"]["entrypoint"])]
    monkeypatch.setattr(sys, "argv", [*words, "--dry-run"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert "would run 4 trials" in capsys.readouterr().out


def test_resuming_names_the_study_and_its_new_number_of_trials() -> None:
    text = render_rayjob(experiment(), name="small", storage=BUCKET, asked=PodOptions(), resume=True)
    assert job(text)["entrypoint"] == (
        "cifake-ray tune --resume small --trials 4 --storage s3://bucket/runs --address auto"
    )


def test_the_users_own_network_is_mounted_beside_the_experiment(tmp_path: Path) -> None:
    net = NET + "# <ü> 'quoted' {{ braces }}\n\n"
    loaded = load_experiment(write_experiment(tmp_path / "mine", net))
    config, _ = yaml.safe_load_all(render_rayjob(loaded, name="small", storage=BUCKET, asked=PodOptions()))
    for name, text in config["data"].items():
        (tmp_path / name).write_text(text)
    assert config["data"]["my_net.py"] == net
    assert load_experiment(tmp_path / "experiment.yaml").model.own_file.trusted
    text = render_rayjob(loaded, name="small", storage=BUCKET, asked=PodOptions(), resume=True, trust=True)
    assert "tune --resume small --trials 3 --trust --storage" in job(text)["entrypoint"]


def test_a_cluster_has_gpu_workers_where_they_are_asked_for() -> None:
    plain, mixed = (job(render_raycluster(name="c", asked=PodOptions(gpus_per_worker=gpus))) for gpus in (None, 1))
    assert [group["groupName"] for group in plain["workerGroupSpecs"]] == ["cpu"]
    assert [group["groupName"] for group in mixed["workerGroupSpecs"]] == ["cpu", "gpu"]


def test_without_storage_the_command_says_what_it_may_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["cifake-ray", "render", "rayjob", "cnn", "--data", "sample"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    printed = capsys.readouterr()
    assert (end.value.code, printed.out) == (2, "")
    assert printed.err.startswith("cifake-ray: --storage is missing")
    assert len(printed.err.splitlines()) == 1

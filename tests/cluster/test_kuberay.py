"""The manifests of cluster/kuberay: what `render` prints, in fields that KubeRay and Kubernetes know, limited."""

import shlex
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from cifake_ray import cli
from tests.cluster.conftest import CLUSTER, ROOT, read_yaml

KUBERNETES = "1.34"
SCHEMA = yaml.safe_load(Path(__file__).with_name("kuberay_fields.yaml").read_text())
PRINTED = sorted((CLUSTER / "kuberay").glob("ray*.yaml"))
DOCUMENTS = [document for path in PRINTED for document in read_yaml(path)]
KUBERAY = [document for document in DOCUMENTS if document["apiVersion"] == "ray.io/v1"]
JOBS = [document["spec"] for document in KUBERAY if document["kind"] == "RayJob"]
CLUSTERS = [document["spec"].get("rayClusterSpec", document["spec"]) for document in KUBERAY]


def templates(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    """The pod templates of a RayCluster: head first."""
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


PODS = [template["spec"] for cluster in CLUSTERS for template in templates(cluster)]


def test_jobs_for_a_claim_and_for_a_bucket_and_a_cluster_are_there() -> None:
    assert [path.stem for path in PRINTED] == ["raycluster", "rayjob-bucket", "rayjob"]


@pytest.mark.parametrize("path", PRINTED, ids=lambda path: path.stem)
def test_the_file_is_what_its_first_line_prints(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = path.read_text().splitlines()[0].removeprefix("# ")
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(sys, "argv", shlex.split(command))
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert not end.value.code
    assert capsys.readouterr().out == path.read_text(), f"{command} > {path.relative_to(ROOT)}"


@pytest.mark.parametrize("document", KUBERAY, ids=lambda document: document["metadata"]["name"])
def test_kuberay_knows_every_field(document: dict[str, Any]) -> None:
    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize("cluster", CLUSTERS, ids=range(len(CLUSTERS)))
def test_kubernetes_knows_every_field_of_the_pods(cluster: dict[str, Any]) -> None:
    for template in templates(cluster):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "pod"}, **template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_kubernetes_knows_every_field_of_claim_and_configmap() -> None:
    plain = [*read_yaml(Path("kuberay/shared-claim.yaml")), *(d for d in DOCUMENTS if d["apiVersion"] == "v1")]
    assert {document["kind"] for document in plain} == {"PersistentVolumeClaim", "ConfigMap"}
    for document in plain:
        kubernetes_validate.validate(document, KUBERNETES, strict=True)


def test_every_cluster_wants_a_token() -> None:
    assert all(cluster["authOptions"] == {"mode": "token"} for cluster in CLUSTERS)


def test_every_job_ends_and_takes_its_cluster_with_it() -> None:
    for job in JOBS:
        assert job["activeDeadlineSeconds"]
        assert job["preRunningDeadlineSeconds"]
        assert job["shutdownAfterJobFinishes"] is True
        assert job["ttlSecondsAfterFinished"] <= 3600


def test_no_pod_is_root_or_talks_to_kubernetes() -> None:
    for pod in PODS:
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        assert all(not container["securityContext"]["allowPrivilegeEscalation"] for container in pod["containers"])


def test_every_container_has_equal_requests_and_limits_and_the_pinned_image(image_tag: str) -> None:
    for container in (container for pod in PODS for container in pod["containers"]):
        assert container["resources"]["requests"] == container["resources"]["limits"]
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert container["image"].startswith(image_tag)


def test_what_is_mounted_is_a_volume_of_the_pod_and_the_claim_exists() -> None:
    (claim,) = read_yaml(Path("kuberay/shared-claim.yaml"))
    for pod in PODS:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        assert {mount["name"] for mount in pod["containers"][0]["volumeMounts"]} == set(volumes)
        if "shared" in volumes:
            assert volumes["shared"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]

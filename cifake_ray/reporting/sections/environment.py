"""Where and with what each study ran: versions, machines, weights, seeds."""

from collections.abc import Sequence
from typing import Any

from cifake_ray.reporting.formatting import listed, wall_time, whole
from cifake_ray.reporting.load import Study, number, section
from cifake_ray.reporting.section import Section, Table

_WORDS = {
    "imagenet-pq": "product-quantised ResNet50 (72.2 % ImageNet top-1, Martinez et al. 2021; non-commercial licence)",
    "imagenet-v1": "torchvision's ResNet50 IMAGENET1K_V1",
    "imagenet-v2": "torchvision's ResNet50 IMAGENET1K_V2",
    "random": "no pretrained weights: an untrained backbone",
    "none": "no pretrained weights, trained from scratch",
}


def build(studies: Sequence[Study]) -> Section:
    """Which weights each study's backbone had."""
    return Section(caveats=_weights_used(studies))


def of_study(study: Study) -> Section:
    """Facts about the machines and programs."""
    if not study.environment:
        return Section("Environment", remarks=("Not recorded yet.",))
    facts = [{"Fact": name, "Value": value} for name, value in _facts(study.environment)]
    return Section("Environment", tables=(Table(facts, look="facts"),))


def _facts(environment: dict[str, Any]) -> list[tuple[str, str]]:
    versions = ", ".join(f"{name} {version}" for name, version in section(environment, "versions").items())
    features = section(environment, "features")
    facts = [
        ("Started", str(environment.get("created", "?"))),
        ("Versions", versions),
        ("Git commit", str(environment.get("git_commit") or "not in a git checkout")),
        *[(f"Node {node.get('node', '?')}", _node(node)) for node in listed(environment.get("hardware"))],
        *[("Weights", _weights(weights)) for weights in listed(environment.get("weights"))],
        ("Seeds", ", ".join(f"{name} {seed}" for name, seed in section(environment, "seeds").items())),
        ("Trials at once", whole(environment.get("max_concurrent"))),
        ("Wall time without start and decoding", wall_time(number(environment, "seconds"))),
    ]
    if features:
        facts.append(
            (
                "Features extracted",
                f"{whole(features.get('extracted'))} in {whole(features.get('seconds'))} s",
            )
        )
    return facts


def _node(node: dict[str, Any]) -> str:
    gpus = ", ".join(map(str, node.get("gpus") or [])) or "none"
    return (
        f"{node.get('cpus', '?')} CPUs ({node.get('cpu_model', '?')}), GPUs: {gpus}, {node.get('memory_gib', '?')} GiB"
    )


def _weights(weights: dict[str, Any]) -> str:
    stages = ", ".join(map(str, weights.get("stages") or []))
    return (
        f"{weights.get('name', '?')}, SHA-256 {weights.get('sha256', '?')}, licence {weights.get('licence', '?')}, "
        f"stages {stages or '?'}"
    )


def _weights_used(studies: Sequence[Study]) -> list[str]:
    """Which weights each study's backbone had, and up to which stage."""
    found = []
    for study in studies:
        name = str(study.winner("tuned").get("weights") or study.experiment.model.weights_label)
        described = _WORDS.get(name, name)
        noted = study.environment.get("weights") or []
        stages = {stage for weights in noted if weights.get("name") == name for stage in weights.get("stages") or []}
        part = f", of a file that holds {', '.join(sorted(stages, key=_depth))}" if stages else ""
        found.append(f"{study.name}: {described}{part}")
    return [f"Weights used. {'; '.join(found)}."] if found else []


def _depth(stage: str) -> tuple[bool, str]:
    return stage != "stem", stage

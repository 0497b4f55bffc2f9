"""Where and with what each study ran: versions, machines, weights, seeds."""

from collections.abc import Sequence

from cifake_ray.reporting.formatting import wall_time, whole
from cifake_ray.reporting.load import Study
from cifake_ray.reporting.section import Section, Table
from cifake_ray.runs.records import Environment, Node, WeightsNote

_WORDS = {
    "imagenet-pq": "product-quantised ResNet50 (72.2 % ImageNet top-1, Martinez et al. 2021; non-commercial licence)",
    "imagenet-v1": "torchvision's ResNet50 IMAGENET1K_V1",
    "imagenet-v2": "torchvision's ResNet50 IMAGENET1K_V2",
    "imagenet-package": "EfficientNet-Lite0, ImageNet, of a Python package (Apache-2.0)",
    "random": "no pretrained weights: an untrained backbone",
    "none": "no pretrained weights, trained from scratch",
}


def build(studies: Sequence[Study]) -> Section:
    """Which weights each study's backbone had."""
    return Section(caveats=_weights_used(studies))


def of_study(study: Study) -> Section:
    """Facts about the machines and programs."""
    environment = study.records.environment
    if environment.empty:
        return Section("Environment", remarks=("Not recorded yet.",))
    facts = [{"Fact": name, "Value": value} for name, value in _facts(environment)]
    return Section("Environment", tables=(Table(facts, look="facts"),))


def _facts(environment: Environment) -> list[tuple[str, str]]:
    facts = [
        ("Started", environment.created or "?"),
        ("Versions", ", ".join(f"{name} {version}" for name, version in environment.versions.items())),
        ("Git commit", environment.git_commit or "not in a git checkout"),
        *[(f"Node {node.node or '?'}", _node(node)) for node in environment.hardware],
        *[("Weights", _weights(weights)) for weights in environment.weights or []],
        ("Seeds", ", ".join(f"{name} {seed}" for name, seed in environment.seeds.items())),
        ("Trials at once", whole(environment.max_concurrent)),
        ("Wall time without start and decoding", wall_time(environment.seconds)),
    ]
    if (cost := environment.features) is not None:
        facts.append(("Features extracted", f"{whole(cost.extracted)} in {whole(cost.seconds)} s"))
    return facts


def _node(node: Node) -> str:
    gpus = ", ".join(node.gpus) or "none"
    return f"{node.cpus or '?'} CPUs ({node.cpu_model or '?'}), GPUs: {gpus}, {node.memory_gib or '?'} GiB"


def _weights(weights: WeightsNote) -> str:
    return f"{weights.name or '?'}, SHA-256 {weights.sha256}, licence {weights.licence or '?'}" + (
        f", stages {', '.join(weights.stages)}" if weights.stages else ""
    )


def _weights_used(studies: Sequence[Study]) -> list[str]:
    """Which weights each study's backbone had, and up to which stage."""
    found = []
    for study in studies:
        winner, noted = study.outcome("tuned"), study.records.environment.weights or []
        name = (winner and winner.weights) or study.experiment.model.weights_label
        described = " and ".join(_WORDS.get(part, part) for part in name.split("+"))
        stages = {stage for weights in noted if weights.name == name for stage in weights.stages}
        part = f", of a file that holds {', '.join(sorted(stages, key=_depth))}" if stages else ""
        found.append(f"{study.name}: {described}{part}")
    return [f"Weights used. {'; '.join(found)}."] if found else []


def _depth(stage: str) -> tuple[bool, str]:
    return stage != "stem", stage

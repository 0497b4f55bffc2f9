"""What a study makes on a running Ray before its first trial: its features, and the record of its environment."""

import platform
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cifake_ray import __version__
from cifake_ray.console import progress
from cifake_ray.data import ImageSet
from cifake_ray.data.corruptions import light_corruptions
from cifake_ray.data.labels import PARTS
from cifake_ray.experiment import Experiment, PassKey
from cifake_ray.features import FeatureSet, distinct_passes, ensure_features, ray_shards
from cifake_ray.machine import cores, cpu_model, total_memory
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.commit import git_commit
from cifake_ray.runs.records import (
    SCHEMA,
    DataNote,
    Environment,
    FeatureCost,
    LeftOut,
    Node,
    Skipped,
    TakenNote,
    TestDrawn,
    WeightsNote,
)
from cifake_ray.runs.run import Run
from cifake_ray.tuning.degraded import degraded_inputs
from cifake_ray.tuning.monitor.gauges import extraction_rate
from cifake_ray.tuning.monitor.phases import say_phase
from cifake_ray.tuning.ray_cluster.replication import home_here
from cifake_ray.tuning.squares import hold_squares, study_transforms
from cifake_ray.tuning.study_inputs import StudyInputs
from cifake_ray.tuning.trial.context import TrialContext

_VERSIONS = ("ray", "torch", "torchvision", "optuna", "numpy", "pandas")


def gather_context(
    experiment: Experiment, run: Run, inputs: StudyInputs, check: Callable[[], None]
) -> tuple[TrialContext, FeatureCost | None]:
    """Make the squares, or extract the features, that the cache lacks; features over the running Ray, with their cost.

    `check` is called every few seconds, and raises to end the extraction; what was extracted by then is kept.
    """
    run_shards = partial(ray_shards, wait_s=experiment.resources.wait_s, check=check)
    features: dict[PassKey, FeatureSet] = {}
    for copied in (False, True):  # the augmented copies are of the pictures that train alone
        if specs := [spec for spec in inputs.specs if spec.copied == copied]:
            part, what = inputs.pictures_of(specs[0]), "augmented train images" if copied else "images"
            passes = len(distinct_passes(part, specs))
            say_phase(experiment, "features", f"backbone outputs of {what}, {passes} in all")
            with progress(f"extracting features, {len(part):,} {what} x {passes}") as update:
                told = _both(update, extraction_rate(run.name))
                found = ensure_features(part, specs, run_shards=run_shards, progress=told)
            features |= {spec.key: one for spec, one in zip(specs, found, strict=True)}
    train, judged = inputs.images.train, [spec for spec in inputs.specs if not spec.copied]
    squares = hold_squares(experiment, train, check)
    degraded, more = degraded_inputs(experiment, train, inputs.split.validation, judged, run_shards, check)
    context = TrialContext(
        experiment,
        Run(run.path.absolute(), run.url),
        inputs.images.path,
        inputs.split,
        features,
        home_here(),
        squares,
        inputs.generators,
        degraded,
    )
    return context, _cost([*features.values(), *more]) if inputs.specs else None


def _cost(found: Sequence[FeatureSet]) -> FeatureCost:
    return FeatureCost(
        extracted=sum(one.extracted for one in found),
        seconds=sum(one.seconds for one in found),
        cpu_seconds=sum(one.cpu_seconds for one in found),
    )


def _both(first: Callable[[int, int], None], second: Callable[[int, int], None]) -> Callable[[int, int], None]:
    def update(done: int, total: int) -> None:
        first(done, total)
        second(done, total)

    return update


def describe_environment(experiment: Experiment, inputs: StudyInputs, max_concurrent: int) -> Environment:
    """environment.json: what a figure of this run depends on besides the experiment."""
    weights = [
        WeightsNote(name=w.name, sha256=w.sha256, licence=w.licence, stages=list(w.stages)) for w in inputs.weights
    ]
    return Environment(
        schema_version=SCHEMA,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        command=" ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        versions={"python": platform.python_version(), "cifake_ray": __version__}
        | {name: version(name) for name in (*_VERSIONS, *experiment.model.packages)},
        git_commit=git_commit(),
        hardware=_hardware(),
        data=_describe_data(experiment, inputs),
        weights=weights or None,
        features=None,
        seeds={"training": experiment.training.seed, "split": experiment.data.split_seed},
        max_concurrent=max_concurrent,
        seconds=0.0,
    )


def _describe_data(experiment: Experiment, inputs: StudyInputs) -> DataNote:
    images = inputs.images
    return DataNote(
        source=images.source,
        kind=images.kind,
        generated=images.card.generated,
        fingerprint=images.fingerprint,
        fingerprint_v2=images.fingerprint_v2,
        **_counts(images),
        taken=[TakenNote.parse(taken.as_note()) for taken in images.taken],
        said=list(images.said),
        test_drawn=None if images.test_drawn is None else TestDrawn.parse(images.test_drawn),
        dropped_from_train=inputs.split.dropped,
        card=images.card.name,
        is_cifake=images.card.name == "cifake",  # this key and the next: for programs that read runs of version 0.1
        subjects="subject" in images.train.table.groups,
        groups=list(images.train.table.groups),
        left=[LeftOut.parse(left.as_note()) for left in images.left],
        split={"train": len(inputs.split.train), "validation": len(inputs.split.validation)},
        left_out={column: list(values) for column, values in inputs.left_out.items()},
        unseen=list(inputs.split.unseen),
        degraded=_degradations(experiment, images),
        duplicates_in_test=inputs.duplicates_in_test,
        skipped=[Skipped(name=skipped.name, reason=skipped.reason) for skipped in images.skipped],
        converted=dict(images.converted),
        transforms=[transform.name for transform in study_transforms(experiment, images.side)],
        bias=inputs.bias,
        neutral=images.neutral,
        neutral_bias=inputs.neutral_bias,
        spectrum=inputs.spectrum,
    )


def _degradations(experiment: Experiment, images: ImageSet) -> list[str]:
    """The names of the degradations by which the study chooses, of its largest squares; [] for other metrics."""
    if not experiment.search.metric.on_degraded:
        return []
    side = images.side or max(transform.side for transform in study_transforms(experiment, images.side))
    return [one.name for one in light_corruptions(side)]


def _counts(images: ImageSet) -> dict[str, Any]:
    """Images of each class in each part; a validation part only where the source gives one."""
    counts = {part: dict.fromkeys(LABELS, 0) for part in PARTS}
    for taken in images.taken:
        counts.setdefault(taken.part, {})[taken.label] = taken.images
    return counts


def _hardware() -> list[Node]:
    """This machine, then every other node of the Ray cluster."""
    import ray
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    memory = round(total_memory() / 2**30, 1)
    nodes = [Node(node="local", cpus=cores(), cpu_model=cpu_model(), gpus=gpus, memory_gib=memory)]
    mine = ray.get_runtime_context().get_node_id() if ray.is_initialized() else None
    for node in ray.nodes() if ray.is_initialized() else []:
        if node["Alive"] and node["NodeID"] != mine:
            resources = node["Resources"]
            memory = round(resources.get("memory", 0) / 2**30, 1)
            name, cpus = node["NodeID"][:8], resources.get("CPU", 0)
            nodes.append(Node(node=name, cpus=cpus, cpu_model="", gpus=[], memory_gib=memory))
    return nodes

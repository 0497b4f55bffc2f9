"""torchvision's networks: frozen with a head on cached features, or fine-tuned on images."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, Fit
from cifake_ray.experiment.families.stages import deepest, pooled_columns, taps_of, up_to
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.backbone import Backbone, build_backbone, build_blocks, empty_blocks, normalise_imagenet
from cifake_ray.models.families.base import Family, Prepare
from cifake_ray.models.finetune import FineTuned
from cifake_ray.models.head import Head
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.pooling import pooled_width
from cifake_ray.models.weights import Weights, expected_shapes, find_weights, resolve_weights
from cifake_ray.runs.records import BackboneNote

MOST_PASSES = 32  # over all images; a space with more nearly always has a range without a step
ALWAYS = ("mean", "std")  # of every stage on the way: next to no cost, and the next study may need the statistics


@dataclass(frozen=True)
class TorchvisionSpec(FeatureSpec):
    """A pass that computes mean and deviation of every whole stage on the way, besides the columns of heads."""

    @property
    def columns(self) -> tuple[str, ...]:
        kind = self.weights.kind
        stages = [name for name in up_to(kind, self.last_stage) if taps_of(kind)[name].stage == name]
        return tuple(dict.fromkeys([f"{stage}.{name}" for stage in stages for name in ALWAYS] + list(self.taken)))

    @property
    def width(self) -> int:
        return _width(self.weights.kind, self.columns)

    def build(self, columns: Sequence[str]) -> Backbone:
        kind = self.weights.kind
        return build_backbone(self.weights, deepest(kind, (name.rpartition(".")[0] for name in columns)))


class TorchvisionFamily(Family[BackboneModel]):
    """Frozen (`trainable: none`): the network is a head on cached features. Else blocks and head learn together."""

    def build(self, model: BackboneModel, weights: Sequence[Weights] = ()) -> nn.Module:
        head = Head(self.width(model), model.head_width, model.dropout)
        return head if model.takes_features else _fine_tuned(model, head, weights)

    def prepare(self, model: BackboneModel) -> Prepare:
        return _as_float if model.takes_features else partial(normalise_imagenet, image_size=model.sizes[0])

    def weights(self, model: BackboneModel) -> tuple[Weights, ...]:
        return (resolve_weights(model.kind, model.weights, model.stages),)

    def searched_weights(self, experiment: Experiment, progress: Progress | None = None) -> dict[str, Weights]:
        kind, (last, _) = experiment.model.kind, _asked_columns(experiment)
        return {name: resolve_weights(kind, name, [last], progress=progress) for name in experiment.weight_names()}

    def absent_weights(self, experiment: Experiment) -> list[str]:
        kind, (last, _) = experiment.model.kind, _asked_columns(experiment)
        return [name for name in experiment.weight_names() if find_weights(kind, name, [last]) is None]

    def passes(self, experiment: Experiment, progress: Progress | None = None) -> list[FeatureSpec]:
        """Every (weights, image_size, fit, side, look) that a trial may request, up to the deepest stage."""
        if not experiment.model.takes_features:
            return []
        chosen = [_split(value) for value in experiment.model_values("image_size")]
        sizes = list(dict.fromkeys((size, max(several)) for several in chosen for size in several))
        looks = _asked_looks(experiment)
        _check_count(experiment, len({size for size, _ in sizes}))
        last, columns = _asked_columns(experiment)
        return [
            TorchvisionSpec(found, size, last, name, look, columns, fit, side)
            for name, found in self.searched_weights(experiment, progress).items()
            for size, side in sizes
            for fit, look in looks
        ]

    def passes_of(self, model: BackboneModel, weights: Sequence[Weights], look: str) -> list[FeatureSpec]:
        """One pass for each image size."""
        if not model.takes_features:
            return []
        last = deepest(model.kind, model.stages)
        return [
            TorchvisionSpec(weights[0], key.image_size, last, key.weights, look, columns, key.fit, key.side)
            for key, columns in model.reads(look)
        ]

    def width(self, model: BackboneModel) -> int:
        return len(model.sizes) * _width(model.kind, model.columns)

    def frozen_parameters(self, model: BackboneModel) -> int:
        """Parameters of the frozen network, as torchvision counts."""
        if not model.takes_features:
            return 0
        shapes = expected_shapes(model.kind, *up_to(model.kind, deepest(model.kind, model.stages)))
        return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name)

    def describe(self, model: BackboneModel, weights: Sequence[Weights]) -> BackboneNote:
        return BackboneNote(
            weights=weights[0].name,
            sha256=weights[0].sha256,
            licence=weights[0].licence,
            image_size=list(model.sizes) if len(model.sizes) > 1 else model.sizes[0],
            stages=list(model.stages),
            pool=list(model.pool),
            views=list(model.views),
            normalisation="imagenet",
        )

    def noted_weights(self, model: BackboneModel, note: BackboneNote | None) -> tuple[Weights, ...]:
        """The weights as recorded; of a fine-tuned network, whose tensors are stored, the note alone."""
        if note is not None and not model.takes_features:
            return (Weights(note.weights, note.sha256, (), note.licence, None, model.kind),)
        try:
            found = self.weights(model)
        except InputError as error:
            digest = f" (SHA-256 {note.sha256[:12]}…)" if note is not None else ""
            raise InputError(f"this model needs its backbone's weights{digest}: {error.what}", error.cure) from error
        if note is not None and note.sha256 != found[0].sha256:
            raise InputError(
                f"backbone weights {model.weights}: found a file with SHA-256 {found[0].sha256[:12]}…, but the head "
                f"was trained on {note.sha256[:12]}…",
                "put that file into the folder that CIFAKE_RAY_WEIGHTS names",
            )
        return found


def _fine_tuned(model: BackboneModel, head: Head, weights: Sequence[Weights]) -> FineTuned:
    last, taps = deepest(model.kind, model.stages), taps_of(model.kind)
    blocks = build_blocks(weights[0], last) if weights else empty_blocks(model.kind, model.stages)
    trainable = [name for name in blocks if model.trainable == "all" or taps[name].stage == taps[last].stage]
    return FineTuned(blocks, model.columns, head, trainable=trainable, lr_factor=model.backbone_lr_factor)


def _as_float(features: Tensor) -> Tensor:
    return features.float()


def _width(kind: str, columns: Sequence[str]) -> int:
    """Features of one image in each `stage.statistic`, summed."""
    places = [column.rpartition(".") for column in columns]
    return sum(pooled_width(statistic, taps_of(kind)[stage].channels) for stage, _, statistic in places)


def _asked_columns(experiment: Experiment) -> tuple[str, tuple[str, ...]]:
    """The deepest stage or block that a trial may request, and every `stage.statistic`."""
    kind = experiment.model.kind
    stages, pools = ([_split(value) for value in experiment.model_values(key)] for key in ("stages", "pool"))
    columns = [column for one, pool in itertools.product(stages, pools) for column in pooled_columns(kind, one, pool)]
    return deepest(kind, (stage for one in stages for stage in one)), tuple(dict.fromkeys(columns))


def _asked_looks(experiment: Experiment) -> list[tuple[Fit, str]]:
    """Every fit that a trial may request, with each look at the squares of that fit."""
    views = _asked_views(experiment)
    return [
        (fit, look)
        for fit in experiment.model_values("fit")
        for look in experiment.model.model_copy(update={"fit": fit, "views": views}).looks
    ]


def _asked_views(experiment: Experiment) -> tuple[str, ...]:
    return tuple(dict.fromkeys(view for value in experiment.model_values("views") for view in _split(value)))


def _split(value: Any) -> tuple[Any, ...]:
    """The values of a choice, which joins several by `+`."""
    if isinstance(value, int):
        return (value,)
    parts = value.split("+") if isinstance(value, str) else value
    return tuple(int(part) if str(part).isdigit() else part for part in parts)


def _check_count(experiment: Experiment, sizes: int) -> None:
    """Raise InputError when these are too many passes; the tiles of one square count as one."""
    names, views, fits = experiment.weight_names(), _asked_views(experiment), experiment.model_values("fit")
    if sizes * len(names) * len(views) * len(fits) > MOST_PASSES:
        raise InputError(
            f"search_space.image_size: {sizes} sizes x {len(names)} weights x {len(views)} views x {len(fits)} fits "
            f"are as many passes over all images (at most {MOST_PASSES})",
            "give `choices`, or a `step` such as 32",
        )

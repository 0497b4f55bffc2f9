"""Frozen pretrained networks, several or one, under a head on their cached features.

What a library's networks are, and where their weights come from, says its `Source`; nothing here asks which it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from cifake_ray.console import Progress
from cifake_ray.errors import InputError
from cifake_ray.experiment import Experiment, FeatureNorm, PassKey
from cifake_ray.models.families.base import Family, Prepare
from cifake_ray.models.families.searched import (
    asked_columns,
    asked_looks,
    asked_names,
    asked_sizes,
    asked_stages,
    check_count,
)
from cifake_ray.models.families.source import B, Source
from cifake_ray.models.head import Head
from cifake_ray.models.passes import FeatureSpec, joined_passes
from cifake_ray.models.views import copy_of
from cifake_ray.models.weight_files import Weights, known_file
from cifake_ray.runs.records import BackboneNote


class BackbonesFamily(Family[Any]):
    """The network that is trained is the head. `sources`: libraries by the `kind` of a backbone."""

    def __init__(self, sources: Mapping[str, Source[Any]]) -> None:
        self.sources = sources

    def build(self, model: Any, weights: Sequence[Weights] = ()) -> nn.Module:  # noqa: ARG002
        return self.head(model)

    def prepare(self, model: Any) -> Prepare:  # noqa: ARG002
        return _as_float

    def head(self, model: Any) -> Head:
        """The dense head on all columns, in the order in which `model.reads` names them."""
        parts = self._parts(model)
        return Head(sum(width for _, width in parts), model.head_width, model.dropout, parts=parts)

    def weights(self, model: Any) -> tuple[Weights, ...]:
        return tuple(source.weights(one, one.weights, one.stages) for one, source in self._of(model))

    def searched_weights(self, experiment: Experiment, progress: Progress | None = None) -> list[Weights]:
        found = [self._searched(experiment, path, progress) for path, _ in experiment.model.backbones_by_path]
        return list(dict.fromkeys(weights for by_name in found for weights in by_name.values()))

    def absent_weights(self, experiment: Experiment) -> list[str]:
        return [
            name
            for path, backbone in experiment.model.backbones_by_path
            for name in asked_names(experiment, path)
            if not self.sources[backbone.kind].is_here(backbone, name, asked_stages(experiment, path))
        ]

    def passes(self, experiment: Experiment, progress: Progress | None = None) -> list[FeatureSpec]:
        """Every (backbone, weights, image_size, fit, side, look) that a trial may request, to the deepest stage."""
        if not experiment.model.takes_features:
            return []
        check_count(experiment)
        sizes, looks = asked_sizes(experiment), asked_looks(experiment)
        recipe = experiment.training.copy_recipe()
        found = joined_passes(
            self.sources[backbone.kind].spec(weights, PassKey(backbone.network, name, size, look, fit, side), columns)
            for path, backbone in experiment.model.backbones_by_path
            for columns in [asked_columns(experiment, path)]
            for name, weights in self._searched(experiment, path, progress).items()
            for size, side in sizes[path]
            for fit, look in looks
        )
        return [replace(spec, recipe=recipe) if copy_of(spec.view)[0] else spec for spec in found]

    def passes_of(self, model: Any, weights: Sequence[Weights], look: str) -> list[FeatureSpec]:
        """One pass for each backbone and image size."""
        if not model.takes_features:
            return []
        return [
            source.spec(found, key, columns)
            for (one, source), found in zip(self._of(model), weights, strict=True)
            for key, columns in one.keys(look, model.fit, model.largest_size)
        ]

    def width(self, model: Any) -> int:
        return sum(width for _, width in self._parts(model))

    def frozen_parameters(self, model: Any) -> int:
        """Parameters of the frozen networks, as their libraries count."""
        return sum(source.parameters(one) for one, source in self._of(model)) if model.takes_features else 0

    def describe(self, model: Any, weights: Sequence[Weights]) -> list[BackboneNote]:
        notes = [source.describe(one, found) for (one, source), found in zip(self._of(model), weights, strict=True)]
        return [note.model_copy(update={"views": list(model.views)}) for note in notes]

    def noted_weights(self, model: Any, notes: Sequence[BackboneNote]) -> tuple[Weights, ...]:
        """The weights as recorded; of a fine-tuned network, whose tensors are stored, the note alone."""
        if not notes:
            return self.weights(model)
        pairs = list(zip(self._of(model), notes, strict=True))
        if not model.takes_features:
            return tuple(source.from_note(one, note) for (one, source), note in pairs)
        found, missing = list[Weights](), list[InputError]()
        for (one, source), note in pairs:
            try:
                found.append(_as_recorded(source, one, note))
            except InputError as error:
                what = f"this model needs its backbone's weights (SHA-256 {note.sha256[:12]}…): {error.what}"
                missing.append(InputError(what, error.cure))
        if missing:  # every file is named at once
            cures = dict.fromkeys(error.cure for error in missing if error.cure)
            raise InputError("; ".join(error.what for error in missing), "; ".join(cures)) from missing[0]
        return tuple(found)

    def _of(self, model: Any) -> Iterator[tuple[Any, Source[Any]]]:
        return ((one, self.sources[one.kind]) for _, one in model.backbones_by_path)

    def _parts(self, model: Any) -> list[tuple[FeatureNorm, int]]:
        """Norm and width of every column that the head takes, in order."""
        return [
            (one.feature_norm, width)
            for one, source in self._of(model)
            for widths in [source.column_widths(one)]
            for _ in one.sizes
            for width in widths
        ]

    def _searched(self, experiment: Experiment, path: str, progress: Progress | None) -> dict[str, Weights]:
        """By their name in the experiment."""
        backbone = dict(experiment.model.backbones_by_path)[path]
        stages = asked_stages(experiment, path)
        source = self.sources[backbone.kind]
        return {name: source.weights(backbone, name, stages, progress) for name in asked_names(experiment, path)}


def _as_recorded(source: Source[B], backbone: B, note: BackboneNote) -> Weights:
    """The weights with the recorded SHA-256: as the experiment names them, or any file with it in the usual folders.

    Raises InputError when there is no such file.
    """
    try:
        found = source.as_noted(backbone, note, backbone.weights)
        if found.sha256 == note.sha256:
            return found
        refusal = InputError(
            f"backbone weights {backbone.weights}: found a file with SHA-256 {found.sha256[:12]}…, but the head was "
            f"trained on {note.sha256[:12]}…",
            "put that file into the folder that CIFAKE_RAY_WEIGHTS names",
        )
    except InputError as error:
        refusal = error
    if (file := known_file(lambda sha256: sha256 == note.sha256)) is not None:
        return source.as_noted(backbone, note, str(file))
    raise refusal


def _as_float(features: Tensor) -> Tensor:
    return features.float()

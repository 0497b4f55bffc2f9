"""A trained detector as one module: images in, the logit of FAKE out."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifake_ray.data import Part
from cifake_ray.errors import WorkError
from cifake_ray.experiment import BackboneModel, Model, deepest
from cifake_ray.features import ensure_features, model_specs
from cifake_ray.machine import cores
from cifake_ray.models.backbone import Backbone, build_backbone
from cifake_ray.models.registry import preparation
from cifake_ray.models.weights import Weights
from cifake_ray.training.batches import FeatureInputs, ImageInputs, Inputs
from cifake_ray.training.extract import batch_images, extract_shard
from cifake_ray.training.fit import EVALUATION_BATCH


class Detector(nn.Module):
    """A network, the frozen backbone before it if there is one, and what turns images into their inputs.

    `detector.to(device)` chooses the device. No process-wide state is set; `use_all_cores` is for commands.
    """

    def __init__(self, model: Model, network: nn.Module, weights: Weights | None) -> None:
        super().__init__()
        self.model, self.weights = model, weights
        self.network = network
        self.eval()

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters(), torch.empty(0)).device

    @property
    def frozen(self) -> tuple[BackboneModel, Weights] | None:
        """The frozen backbone that the images go through first; None where the network takes images."""
        if self.weights is None or not isinstance(self.model, BackboneModel) or not self.model.frozen:
            return None
        return self.model, self.weights

    @property
    def backbone(self) -> Backbone:
        """The frozen backbone, built at its first use and kept. Raises InputError as `build_backbone` does."""
        if "_backbone" not in self._modules:
            assert self.frozen is not None
            model, weights = self.frozen
            self.add_module("_backbone", build_backbone(weights, deepest(model.kind, model.stages)).to(self.device))
        found = self._modules["_backbone"]
        assert isinstance(found, Backbone)
        return found

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, h, w, 3] -> float32 [n], the logit of FAKE: the mean over the model's views."""
        return self._logits(images).float()

    @torch.inference_mode()
    def p_fake(self, images: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3] -> float32 [n], the probability of FAKE, uncalibrated. Raises WorkError for NaN."""
        return _probabilities([self._mean_logits(inputs, rows) for inputs, rows in self._in_batches(images)])

    @torch.inference_mode()
    def p_fake_of_part(self, part: Part, progress: Any = None) -> np.ndarray:
        """As `p_fake`, with frozen features taken from (and put into) the feature cache."""
        if self.frozen is None:
            return self.p_fake(part.images)
        model, weights = self.frozen
        specs = {view: model_specs(model, weights, view) for view in model.views}
        each = _passes(progress, sum(map(len, specs.values())))
        features = []
        for view in model.views:
            found = [ensure_features(part, spec, progress=next(each)) for spec in specs[view]]
            features.append(tuple(torch.from_numpy(array) for one in found for array in one.columns(model.columns)))
        inputs = FeatureInputs(tuple(features))
        batches = torch.arange(len(part)).split(EVALUATION_BATCH)
        return _probabilities([self._mean_logits(inputs, rows) for rows in batches])

    def _in_batches(self, images: np.ndarray) -> Iterator[tuple[Inputs, Tensor]]:
        """Inputs of the network, EVALUATION_BATCH images after another, and int64 [n]: all of their rows."""
        if self.frozen is None:
            inputs = (self._inputs(torch.from_numpy(np.array(some))) for some in _chunks(images, EVALUATION_BATCH))
        else:
            model, _ = self.frozen
            passes = [self._columns(images, view, size) for view in model.views for size in model.sizes]
            inputs = (self._joined(columns) for columns in zip(*passes, strict=True))
        counts = (len(some) for some in _chunks(images, EVALUATION_BATCH))
        return ((found, torch.arange(count, device=self.device)) for found, count in zip(inputs, counts, strict=True))

    def _columns(self, images: np.ndarray, view: str, size: int) -> Iterator[tuple[np.ndarray, ...]]:
        """Features of EVALUATION_BATCH images after another, float16 [n, features] a column.

        Extracted in whole batches of the backbone, whose size the last digits depend on and differs between sizes.
        """
        whole = batch_images(size, self.device.type)
        kept: list[np.ndarray] = []
        for some in _chunks(images, whole * max(EVALUATION_BATCH // whole, 1)):
            shard = self._extract(some, view, size)
            kept = [np.concatenate(pair) for pair in zip(kept, shard, strict=True)] if kept else shard
            while len(kept[0]) >= EVALUATION_BATCH:
                yield tuple(column[:EVALUATION_BATCH] for column in kept)
                kept = [column[EVALUATION_BATCH:] for column in kept]
        if kept and len(kept[0]):
            yield tuple(kept)

    def _extract(self, pixels: np.ndarray, view: str, size: int) -> list[np.ndarray]:
        """Features of images uint8 [n, h, w, 3], float16 [n, features] of each of the model's columns."""
        columns = self.frozen[0].columns if self.frozen else ()
        shard = extract_shard(
            pixels, self.backbone, columns=columns, image_size=size, view=view, device=str(self.device)
        )
        return [shard[name] for name in columns]

    def _inputs(self, images: Tensor) -> Inputs:
        if self.frozen is None:
            return ImageInputs(images.to(self.device), self.model.views)
        model, _ = self.frozen
        pixels = images.numpy(force=True)
        return self._joined([self._extract(pixels, view, size) for view in model.views for size in model.sizes])

    def _joined(self, passes: Sequence[Sequence[np.ndarray]]) -> FeatureInputs:
        """Inputs from the features of each pass, in order of view and size."""
        assert self.frozen is not None
        sizes = len(self.frozen[0].sizes)
        of_views = (passes[at : at + sizes] for at in range(0, len(passes), sizes))
        return FeatureInputs(tuple(
            tuple(torch.from_numpy(column).to(self.device) for columns in of_view for column in columns)
            for of_view in of_views
        ))  # fmt: skip

    def _logits(self, images: Tensor) -> Tensor:
        return self._mean_logits(self._inputs(images), torch.arange(len(images), device=self.device))

    def _mean_logits(self, inputs: Inputs, rows: Tensor) -> Tensor:
        """float64 [n], averaged over the views as in training's validation; the network's logit is that of REAL."""
        prepare = preparation(self.model)
        views = [self.network(prepare(view)) for view in inputs.views(rows)]
        return -torch.stack(views).double().mean(0)


def _chunks(images: np.ndarray, size: int) -> Iterator[np.ndarray]:
    return (images[start : start + size] for start in range(0, len(images), size))


def _probabilities(logits: list[Tensor]) -> np.ndarray:
    p_fake: np.ndarray = torch.sigmoid(torch.cat(logits)).float().numpy(force=True)
    if not np.isfinite(p_fake).all():
        raise WorkError("the model gives no number for some images: its weights are damaged, or it diverged")
    return p_fake


def _passes(progress: Any, count: int) -> Iterator[Any]:
    """For each of `count` passes over the images a progress that counts on from the pass before."""

    def counted(before: int) -> Any:
        return progress and (lambda done, images: progress(before * images + done, count * images))

    return map(counted, range(count))


def use_all_cores() -> None:
    """Let torch use every core that this process may use: what a command does before it evaluates."""
    torch.set_num_threads(cores())

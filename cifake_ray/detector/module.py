"""A trained detector as one module: images in, the logit of FAKE out."""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifake_ray.data import Part
from cifake_ray.errors import WorkError
from cifake_ray.experiment import Model
from cifake_ray.features import ensure_features
from cifake_ray.machine import cores
from cifake_ray.models.backbone import Backbone
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import family_of
from cifake_ray.models.weights import Weights
from cifake_ray.training.batches import FeatureInputs, ImageInputs, Inputs
from cifake_ray.training.extract import batch_images, extract_shard
from cifake_ray.training.fit import EVALUATION_BATCH


class Detector(nn.Module):
    """A network, the frozen backbones before it if there are any, and what turns images into their inputs.

    `detector.to(device)` chooses the device. No process-wide state is set; `use_all_cores` is for commands.
    """

    def __init__(self, model: Model, network: nn.Module, weights: Sequence[Weights] = ()) -> None:
        super().__init__()
        self.model, self.weights = model, tuple(weights)
        self.network = network
        self.eval()

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters(), torch.empty(0)).device

    @property
    def weights_label(self) -> str:
        """What a table calls the pretrained weights."""
        return "+".join(weights.name for weights in self.weights) or "none"

    def passes(self, view: str) -> list[FeatureSpec]:
        """The passes of frozen backbones whose features the network takes of a view; [] where it takes images."""
        return family_of(self.model).passes_of(self.model, self.weights, view)

    def backbone(self, spec: FeatureSpec) -> Backbone:
        """The frozen backbone of a pass, built at its first use and kept. Raises InputError for damaged weights."""
        name = f"_backbone_{self.weights.index(spec.weights)}"
        if name not in self._modules:
            self.add_module(name, spec.build(spec.taken).to(self.device))
        found = self._modules[name]
        assert isinstance(found, Backbone)
        return found

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """uint8 [n, h, w, 3] -> float32 [n], the logit of FAKE: the mean over the model's views."""
        return self._logits(images).float()

    @torch.inference_mode()
    def p_fake(self, images: np.ndarray) -> np.ndarray:
        """uint8 [n, h, w, 3] -> float32 [n], the probability of FAKE, uncalibrated. Raises WorkError for NaN."""
        size = self._batch()
        batches = (np.array(images[start : start + size]) for start in range(0, len(images), size))  # may be read-only
        return _probabilities([self._logits(torch.from_numpy(batch)) for batch in batches])

    @torch.inference_mode()
    def p_fake_of_part(self, part: Part, progress: Any = None) -> np.ndarray:
        """As `p_fake`, with frozen features taken from (and put into) the feature cache."""
        if not self.model.takes_features:
            return self.p_fake(part.images)
        specs = [self.passes(view) for view in self.model.views]
        each = _passes(progress, sum(map(len, specs)))
        features = []
        for of_view in specs:
            found = [ensure_features(part, spec, progress=next(each)) for spec in of_view]
            features.append(tuple(torch.from_numpy(array) for one in found for array in one.columns(one.spec.taken)))
        inputs = FeatureInputs(tuple(features))
        batches = torch.arange(len(part)).split(EVALUATION_BATCH)
        return _probabilities([self._mean_logits(inputs, rows) for rows in batches])

    def _batch(self) -> int:
        """Images that go through at once: whole batches of the backbone, whose size its last digits depend on."""
        passes = self.passes(self.model.views[0])
        if not passes:
            return EVALUATION_BATCH
        whole = math.lcm(*(batch_images(spec.image_size, self.device.type) for spec in passes))
        return whole * max(EVALUATION_BATCH // whole, 1)

    def _inputs(self, images: Tensor) -> Inputs:
        if not self.model.takes_features:
            return ImageInputs(images.to(self.device), self.model.views)
        pixels = images.numpy(force=True)
        each = ([self._features(pixels, spec) for spec in self.passes(view)] for view in self.model.views)
        return FeatureInputs(tuple(tuple(itertools.chain(*of_view)) for of_view in each))

    def _features(self, pixels: np.ndarray, spec: FeatureSpec) -> list[Tensor]:
        """float16 [n, d] of each column that the network takes of a pass."""
        shard = extract_shard(
            pixels, self.backbone(spec), columns=spec.taken, image_size=spec.image_size, view=spec.view,
            device=str(self.device),
        )  # fmt: skip
        return [torch.from_numpy(shard[name]).to(self.device) for name in spec.taken]

    def _logits(self, images: Tensor) -> Tensor:
        return self._mean_logits(self._inputs(images), torch.arange(len(images), device=self.device))

    def _mean_logits(self, inputs: Inputs, rows: Tensor) -> Tensor:
        """float64 [n], averaged over the views as in training's validation; the network's logit is that of REAL."""
        prepare = family_of(self.model).prepare(self.model)
        views = [self.network(prepare(view)) for view in inputs.views(rows)]
        return -torch.stack(views).double().mean(0)


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

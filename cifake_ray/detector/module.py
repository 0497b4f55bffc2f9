"""A trained detector as one module: images in, the logit of FAKE out."""

import dataclasses
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import tee
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifake_ray.data import Part
from cifake_ray.data.streaming import is_held_for, stream_squares
from cifake_ray.data.transform import Transform
from cifake_ray.errors import WorkError
from cifake_ray.experiment import Model, Neutral
from cifake_ray.features import ensure_features
from cifake_ray.features.places import entries_of
from cifake_ray.machine import cores
from cifake_ray.models.backbone import FrozenBackbone
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.models.registry import family_of
from cifake_ray.models.views import squares_within
from cifake_ray.models.weight_files import Weights
from cifake_ray.training.batches import EVALUATION_BATCH, FeatureInputs, ImageInputs, Inputs, rows_at_once
from cifake_ray.training.extract import batch_images, extract_shard


class Detector(nn.Module):
    """A network, the frozen backbones before it if there are any, and the preparation of inputs from images.

    `transform`: from a picture to the squares that the detector takes. `neutral`: encoding of the pictures that the
    network was trained on, which the pictures of a part have already. `detector.to(device)` chooses the device.
    No process-wide state is set; `use_all_cores` is for commands.
    """

    def __init__(
        self,
        model: Model,
        network: nn.Module,
        weights: Sequence[Weights] = (),
        transform: Transform | None = None,
        neutral: Neutral | None = None,
    ) -> None:
        super().__init__()
        self.model, self.weights, self.transform = model, tuple(weights), transform or Transform()
        self.neutral = neutral
        self.network = network
        self.eval()

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters(), torch.empty(0)).device

    @property
    def members(self) -> "list[tuple[Detector, float]]":
        """The detectors whose logits are averaged, with their weights, which sum to 1: of a blend several."""
        return [(self, 1.0)]

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors that are stored, by name: those that were trained."""
        return self.network.state_dict()

    @property
    def weights_label(self) -> str:
        """The name of the pretrained weights in tables."""
        return "+".join(weights.name for weights in self.weights) or "none"

    def passes(self, look: str) -> list[FeatureSpec]:
        """The passes of frozen backbones that the network takes features of at a look; [] for image networks."""
        return family_of(self.model).passes_of(self.model, self.weights, look)

    def backbone(self, spec: FeatureSpec) -> FrozenBackbone:
        """The frozen backbone of a pass, built at its first use and kept. Raises InputError for damaged weights."""
        passes = self.passes(self.model.looks[0])
        networks = list(dict.fromkeys(other.network for other in passes))
        name = f"_backbone_{networks.index(spec.network)}"
        if name not in self._modules:
            taken = [column for other in passes if other.network == spec.network for column in other.taken]
            self.add_module(name, spec.build(taken).to(self.device))
        found = self._modules[name]
        assert isinstance(found, FrozenBackbone)
        return found

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        """Squares uint8 [n, s, s, 3] or tiles [n, t, s, s, 3] -> float32 [n], the logit of FAKE, averaged over looks.

        The squares are those of the detector's transform.
        """
        return self._logits(images).float()

    def logits(self, images: np.ndarray) -> np.ndarray:
        """Squares as `forward` takes -> float64 [n]: the logit of FAKE. Raises WorkError for NaN."""
        return self.logits_in_order([images])

    @torch.inference_mode()
    def logits_in_order(self, arrays: Iterable[np.ndarray]) -> np.ndarray:
        """`logits` of the squares in these arrays, one after another, to the last digit as of one array of all."""
        return _checked([self._mean_logits(inputs, rows) for inputs, rows in self._in_batches(arrays)])

    def logits_of_members(self, seen: Sequence[np.ndarray]) -> np.ndarray:
        """`logits` of the same pictures, averaged over the members: squares as each member takes them."""
        judged = zip(self.members, seen, strict=True)
        return np.asarray(sum(share * member.logits(images) for (member, share), images in judged))

    def p_fake(self, images: np.ndarray) -> np.ndarray:
        """Squares as `forward` takes -> float32 [n]: probability of FAKE, uncalibrated. Raises WorkError for NaN."""
        return uncalibrated(self.logits(images))

    @torch.inference_mode()
    def logits_of_part(self, part: Part, progress: Any = None, rows: np.ndarray | None = None) -> np.ndarray:
        """`logits` of a part's pictures, decoded batch by batch; frozen features come from the feature cache.

        rows: int64 [m], the positions of the pictures in question; None for all. `progress`: pictures done and in all.
        """
        if not self.model.takes_features or (part.side is not None and not is_held_for(part, self.transform)):
            return self._streamed(part if rows is None else part.take(rows), progress)
        bound = part.under(self.transform)
        specs = self._specs()
        if rows is not None and not all(_is_cached(bound, spec) for of_look in specs for spec in of_look):
            bound, rows = _apart(bound, rows), None
        each = iter(ensure_features(bound, [spec for of_look in specs for spec in of_look], progress=progress))
        found = [[next(each) for _ in of_look] for of_look in specs]
        inputs = FeatureInputs(tuple(
            tuple(torch.from_numpy(array) for one in of_look for array in one.columns(one.spec.taken))
            for of_look in found
        ))  # fmt: skip
        chosen = torch.arange(len(bound)) if rows is None else torch.from_numpy(rows)
        return _checked([self._mean_logits(inputs, some) for some in chosen.split(EVALUATION_BATCH)])

    def p_fake_of_part(self, part: Part, progress: Any = None) -> np.ndarray:
        """`p_fake` of a part's pictures, as `logits_of_part` judges them."""
        return uncalibrated(self.logits_of_part(part, progress))

    def centre_squares(self, images: Tensor) -> Tensor:
        """The squares that the network sees at the first look, uint8 [n, s, s, 3]; images: as of `forward`."""
        seen = squares_within(images, self.model.fit, self.model.largest_size)
        return seen[:, 0] if seen.ndim == 5 else seen

    def _streamed(self, part: Part, progress: Any) -> np.ndarray:
        logits, done = np.empty(len(part)), 0
        for rows, squares in stream_squares(part, self.transform):
            logits[rows] = self.logits(squares)
            done += len(squares)
            if progress:
                progress(done, len(part))
        return logits

    def _in_batches(self, arrays: Iterable[np.ndarray]) -> Iterator[tuple[Inputs, Tensor]]:
        """Inputs of the network for one batch of images after another, each with all of its rows: int64 [n]."""
        if not self.model.takes_features:
            for some in _chunks(arrays, rows_at_once):
                yield self._inputs(torch.from_numpy(np.array(some))), torch.arange(len(some), device=self.device)
            return
        specs = [spec for of_view in self._specs() for spec in of_view]
        streams = [self._columns(each, spec) for spec, each in zip(specs, tee(arrays, len(specs)), strict=True)]
        for columns in zip(*streams, strict=True):
            yield self._joined(columns), torch.arange(len(columns[0][0]), device=self.device)

    def _columns(self, arrays: Iterable[np.ndarray], spec: FeatureSpec) -> Iterator[list[np.ndarray]]:
        """Features of one batch of EVALUATION_BATCH images after another, float16 [n, d] a column.

        Features are extracted in whole batches of the backbone, because the last digits depend on the batch size. The
        batch size differs between passes.
        """
        whole = batch_images(spec.image_size, self.device.type)
        size = whole * max(EVALUATION_BATCH // whole, 1)
        kept: list[np.ndarray] = []
        for some in _chunks(arrays, lambda _: size):
            shard = self._extract(some, spec)
            kept = [np.concatenate(pair) for pair in zip(kept, shard, strict=True)] if kept else shard
            while len(kept[0]) >= EVALUATION_BATCH:
                yield [column[:EVALUATION_BATCH] for column in kept]
                kept = [column[EVALUATION_BATCH:] for column in kept]
        if kept and len(kept[0]):
            yield kept

    def _extract(self, pixels: np.ndarray, spec: FeatureSpec) -> list[np.ndarray]:
        """float16 [n, d] of each column that the network takes of a pass; pixels: uint8 [n, s, s, 3], or tiles."""
        shard = extract_shard(pixels, self.backbone(spec), spec, spec.taken, device=str(self.device))
        return [shard[name] for name in spec.taken]

    def _specs(self) -> list[list[FeatureSpec]]:
        """For each look the passes whose features the network takes."""
        return [self.passes(look) for look in self.model.looks]

    def _inputs(self, images: Tensor) -> Inputs:
        if not self.model.takes_features:
            return ImageInputs(images.to(self.device), self.model.looks, self.model.fit, self.model.largest_size)
        pixels = images.numpy(force=True)
        return self._joined([self._extract(pixels, spec) for of_view in self._specs() for spec in of_view])

    def _joined(self, passes: Sequence[Sequence[np.ndarray]]) -> FeatureInputs:
        """Inputs from the columns of each pass, in order of view and pass."""
        each = iter(passes)
        of_views = [[column for _ in of_view for column in next(each)] for of_view in self._specs()]
        return FeatureInputs(tuple(
            tuple(torch.from_numpy(column).to(self.device) for column in of_view) for of_view in of_views
        ))  # fmt: skip

    def _logits(self, images: Tensor) -> Tensor:
        return self._mean_logits(self._inputs(images), torch.arange(len(images), device=self.device))

    def _mean_logits(self, inputs: Inputs, rows: Tensor) -> Tensor:
        """float64 [n], averaged over the looks as in training's validation; the network's logit is that of REAL."""
        prepare = family_of(self.model).prepare(self.model)
        views = [self.network(prepare(view)) for view in inputs.views(rows)]
        return -torch.stack(views).double().mean(0)


def _chunks(arrays: Iterable[np.ndarray], size_of: Callable[[int], int]) -> Iterator[np.ndarray]:
    """The images of all arrays, so many at a time; `size_of`: how many of images of this side. Views where possible."""
    left: np.ndarray | None = None
    for array in arrays:
        images = array if left is None or not len(left) else np.concatenate([left, array])
        size = size_of(images.shape[-2])
        whole = len(images) - len(images) % size
        yield from (images[start : start + size] for start in range(0, whole, size))
        left = images[whole:]
    if left is not None and len(left):
        yield left


def uncalibrated(logits: np.ndarray) -> np.ndarray:
    """The probability that the network itself states, float32 [n]; logits: float64 [n]."""
    p_fake: np.ndarray = torch.sigmoid(torch.from_numpy(logits)).float().numpy()
    return p_fake


def _checked(logits: list[Tensor]) -> np.ndarray:
    """The batches joined; an infinite logit is a sure answer, NaN is none."""
    found: np.ndarray = torch.cat(logits).numpy(force=True)
    if np.isnan(found).any():
        raise WorkError("the model computes NaN for some images: its weights are damaged, or its training diverged")
    return found


def _is_cached(part: Part, spec: FeatureSpec) -> bool:
    """Whether the cache has features of all the part's pictures; `ensure_features` checks whether these are whole."""
    return all(path.exists() for path in entries_of(part, spec).values())


def _apart(part: Part, rows: np.ndarray) -> Part:
    """The pictures at these rows as a part whose fingerprint names the rows: its features have a key of their own."""
    chosen = hashlib.sha256(rows.tobytes()).hexdigest()[:16]
    return dataclasses.replace(part.take(rows), fingerprint=f"{part.fingerprint}-{chosen}")


def use_all_cores() -> None:
    """Make torch use every core that this process may use; called by commands before an evaluation."""
    torch.set_num_threads(cores())

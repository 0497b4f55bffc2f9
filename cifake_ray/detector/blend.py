"""Several trained detectors as one: the mean of their logits, with weights."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from cifake_ray.data import Part
from cifake_ray.detector.module import Detector
from cifake_ray.errors import InputError


class Blend(Detector):
    """The members with their weights, which sum to 1; the first is the heaviest.

    `model` and `transform` are those of the first member, whose squares say whether a picture is like validation's.
    Squares can be judged where all members have one transform; elsewhere each member is called with its own squares.
    """

    def __init__(self, members: Sequence[tuple[Detector, float]]) -> None:
        first = members[0][0]
        weights = dict.fromkeys(weights for member, _ in members for weights in member.weights)
        networks = nn.ModuleList(member for member, _ in members)
        super().__init__(first.model, networks, tuple(weights), first.transform, first.neutral)
        self.shares = tuple(share for _, share in members)

    @property
    def members(self) -> list[tuple[Detector, float]]:
        return list(zip(cast("Iterator[Detector]", self.network.children()), self.shares, strict=True))

    @property
    def tensors(self) -> dict[str, Tensor]:
        return {f"{at}.{name}": tensor for at, (member, _) in enumerate(self.members)
                for name, tensor in member.tensors.items()}  # fmt: skip

    @torch.inference_mode()
    def forward(self, images: Tensor) -> Tensor:
        self._check_one_transform()
        return torch.stack([share * member(images) for member, share in self.members]).sum(0)

    def logits(self, images: np.ndarray) -> np.ndarray:
        self._check_one_transform()
        return self.logits_of_members([images] * len(self.shares))

    def logits_in_order(self, arrays: Iterable[np.ndarray]) -> np.ndarray:
        return np.concatenate([self.logits(images) for images in arrays])

    def logits_of_part(self, part: Part, progress: Any = None, rows: np.ndarray | None = None) -> np.ndarray:
        total = len(self.shares)
        found = np.zeros(len(part) if rows is None else len(rows))
        for at, (member, share) in enumerate(self.members):

            def update(done: int, of: int, before: int = at) -> None:
                if progress:
                    progress(before * of + done, total * of)

            found += share * member.logits_of_part(part, update, rows)
        return found

    def _check_one_transform(self) -> None:
        names = dict.fromkeys(member.transform.name for member, _ in self.members)
        if len(names) > 1:
            raise InputError(f"the members of this blend see pictures as {', '.join(names)}", "call each with its own")

"""Where in an image a detector's answer comes from: class activation maps by gradients, in plain torch."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cifake_ray.detector.module import Detector
from cifake_ray.models.registry import family_of

# By whether the network takes features of a frozen backbone.
METHODS = {
    False: "Grad-CAM (Selvaraju et al. 2017, arXiv 1610.02391): the maps that the last convolution's block gives out "
    "(of a network without convolutions the pixels), weighted by the mean gradient of the answer with respect to each",
    True: "HiResCAM at the deepest stage used (Draelos and Carin 2020, arXiv 2011.08891): maps times the gradient of "
    "the answer, element by element, summed. Grad-CAM averages that gradient over the positions, and through a "
    "standard deviation this average is always zero",
}


_BLENDED = "Of a blend the maps of its members are summed, each with its weight, at the finest of their resolutions"


def method_of(detector: Detector) -> str:
    """How the maps of this detector are computed."""
    methods = dict.fromkeys(METHODS[member.model.takes_features] for member, _ in detector.members)
    return ". ".join([*methods, *([_BLENDED] if len(detector.members) > 1 else [])])


def class_activation_maps(
    detector: Detector, images: np.ndarray, fake: np.ndarray, *others: np.ndarray
) -> np.ndarray:  # fmt: skip
    """Images as the network sees them, uint8 [n, s, s, 3], and the answers, bool [n] (True: FAKE) -> float32 [n, h, w].

    others: the same images as further members of a blend see them. 1 is the position that speaks most for the answer; a
    map without any such position is 0 everywhere.
    """
    if not len(fake):
        return np.zeros((0, 1, 1), np.float32)
    maps = [share * _relevance(member, seen, fake)
            for (member, share), seen in zip(detector.members, (images, *others), strict=True)]  # fmt: skip
    finest = max((found.shape[-2:] for found in maps), key=math.prod)
    relevance = torch.stack([_enlarged(found, finest) for found in maps]).sum(0)
    strongest = relevance.amax((1, 2), keepdim=True)
    found: np.ndarray = (relevance / strongest.clamp_min(1e-12)).float().numpy()
    return found


def _enlarged(maps: Tensor, size: tuple[int, ...]) -> Tensor:
    """The maps, float [n, h, w], at another resolution; unchanged at their own."""
    if maps.shape[-2:] == size:
        return maps
    return nn.functional.interpolate(maps[:, None], size, mode="bilinear", align_corners=False)[:, 0]


def _relevance(detector: Detector, images: np.ndarray, fake: np.ndarray) -> Tensor:
    """What speaks for the answer at each position, float [n, h, w], 0 or more, in the unit of the logit's gradient."""
    pixels = torch.from_numpy(np.array(images))
    sign = torch.where(torch.from_numpy(np.array(fake)), -1.0, 1.0)  # the logit is that of REAL
    detector.network.eval()
    with torch.enable_grad():
        if detector.model.takes_features:
            maps, gradients = _at_deepest_stage(detector, pixels, sign)
            weighted = maps * gradients
        else:
            maps, gradients = _at_last_convolution(detector, pixels, sign)
            weighted = maps * gradients.mean((2, 3), keepdim=True)
    return weighted.sum(1).relu()


def _at_last_convolution(detector: Detector, pixels: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """The last maps that any layer gives out [n, c, h, w] (after the last convolution's norm, pool and ReLU), and the
    gradient of the answer there."""
    inputs = family_of(detector.model).prepare(detector.model)(pixels).requires_grad_()
    kept: list[Tensor] = [inputs]

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Any) -> None:
        if isinstance(output, Tensor) and output.ndim == 4 and output.shape[-1] > 1 and output.requires_grad:
            kept[:] = [output]

    hooks = [module.register_forward_hook(keep) for module in detector.network.modules()]
    try:
        answer = (sign * detector.network(inputs.clone())).sum()  # a copy: the first layer may work in place
    finally:
        for hook in hooks:
            hook.remove()
    (gradient,) = torch.autograd.grad(answer, kept[0], allow_unused=True)
    return kept[0].detach(), torch.zeros_like(kept[0]) if gradient is None else gradient


def _at_deepest_stage(detector: Detector, pixels: Tensor, sign: Tensor) -> tuple[Tensor, Tensor]:
    """Output of the deepest stage that the head uses of the first pass [n, c, h, w], and the gradient through the head
    and the pooling of the images as they are."""
    first, *others = detector.passes("identity")
    kept: list[Tensor] = []

    def keep(maps: Tensor) -> Tensor:
        kept[:] = [maps.detach().requires_grad_()]
        return kept[0]

    pooled = [detector.backbone(first)(pixels, first.image_size, first.taken, see=keep)]
    pooled += [detector.backbone(spec)(pixels, spec.image_size, spec.taken) for spec in others]
    columns = [found[name] for spec, found in zip((first, *others), pooled, strict=True) for name in spec.taken]
    answer = (sign * detector.network(torch.cat(columns, 1))).sum()
    gradient = torch.autograd.grad(answer, kept[0])[0]
    return kept[0].detach(), gradient.nan_to_num(0.0)  # the deviation of a channel that is 0 everywhere has none

"""JPEG and back for a batch of images, at a quality for each: libjpeg on the CPU, its arithmetic in torch elsewhere.

In torch: ITU-T T.81, baseline, with the tables of its annex K scaled as libjpeg scales them (jcparam.c), chroma halved
in both directions (jcsample.c) and enlarged by the triangle filter (jdsample.c, "fancy upsampling"). The two differ by
rounding alone.
"""

import math

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51,
    87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101,
    72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
_CHROMINANCE = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99, 47, 66,
    *(38 * (99,)),
)  # fmt: skip
_TO_YCC = ((0.299, 0.587, 0.114), (-0.168735892, -0.331264108, 0.5), (0.5, -0.418687589, -0.081312411))  # JFIF
_TO_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136286, -0.714136286), (1.0, 1.772, 0.0))
_BLOCK, _MIDDLE = 8, 128


def recompress(images: Tensor, quality: Tensor) -> Tensor:
    """uint8 [n, h, w, 3] after JPEG, 4:2:0, at `quality`, int64 [n], 1..100."""
    if images.device.type != "cpu":
        return through_dct(images, quality)
    from torchvision.io import decode_jpeg, encode_jpeg  # 63 µs an image; Pillow 186; threads gained nothing

    planes = images.permute(0, 3, 1, 2).contiguous()
    coded = [decode_jpeg(encode_jpeg(image, each)) for image, each in zip(planes, quality.tolist(), strict=True)]
    return torch.stack(coded).permute(0, 2, 3, 1)


def through_dct(images: Tensor, quality: Tensor) -> Tensor:
    """uint8 [n, h, w, 3] after JPEG at `quality`, int64 [n], 1..100, on the device of the images."""
    height, width = images.shape[1:3]
    planes = _mixed(images.float().permute(0, 3, 1, 2), _TO_YCC)
    planes[:, 1:] += _MIDDLE
    planes = _to_bytes(planes)
    planes = pad(planes, (0, -width % (2 * _BLOCK), 0, -height % (2 * _BLOCK)), mode="replicate")
    luminance = _quantised(planes[:, :1], _tables(quality, _LUMINANCE))
    chrominance = _quantised(_halved(planes[:, 1:]), _tables(quality, _CHROMINANCE))
    chrominance = chrominance[..., : math.ceil(height / 2), : math.ceil(width / 2)]
    enlarged = interpolate(chrominance, scale_factor=2, mode="bilinear", align_corners=False)  # 3/4 and 1/4
    ycc = torch.cat([luminance[..., :height, :width], enlarged[..., :height, :width].round() - _MIDDLE], 1)
    return _to_bytes(_mixed(ycc, _TO_RGB)).permute(0, 2, 3, 1).to(torch.uint8)


def _tables(quality: Tensor, base: tuple[int, ...]) -> Tensor:
    """float32 [n, 1, 8, 8]: the steps of the coefficients at each quality (libjpeg's jpeg_quality_scaling)."""
    scale = torch.where(quality < 50, 5000 // quality.clamp_min(1), 200 - 2 * quality)
    steps = (torch.tensor(base, device=quality.device) * scale[:, None] + 50) // 100
    return steps.clamp(1, 255).float().view(-1, 1, _BLOCK, _BLOCK)


def _quantised(planes: Tensor, steps: Tensor) -> Tensor:
    """Planes [n, c, h, w] of whole blocks, 0..255, after rounding their coefficients to multiples of `steps`."""
    count, channels, height, width = planes.shape
    cosines = _cosines(planes.device)
    blocks = planes.view(count, channels, height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK).transpose(3, 4)
    steps = steps[:, :, None, None]
    coefficients = (cosines @ (blocks - _MIDDLE) @ cosines.T / steps).round() * steps
    restored = (cosines.T @ coefficients @ cosines + _MIDDLE).transpose(3, 4)
    return _to_bytes(restored.reshape(count, channels, height, width))


def _cosines(device: torch.device) -> Tensor:
    """float32 [8, 8]: the orthonormal discrete cosine transform, a frequency a row."""
    at = torch.arange(_BLOCK, device=device)
    waves = torch.cos(math.pi * (2 * at + 1) * at[:, None] / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    waves[0] /= math.sqrt(2)
    return waves


def _halved(planes: Tensor) -> Tensor:
    """The mean of each 2 x 2 values, halves rounded up and down in turn as libjpeg's h2v2_downsample does."""
    sums = planes[..., ::2, ::2] + planes[..., 1::2, ::2] + planes[..., ::2, 1::2] + planes[..., 1::2, 1::2]
    turns = 1 + torch.arange(sums.shape[-1], device=planes.device) % 2
    return ((sums + turns) / 4).floor()


def _mixed(planes: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    """Planes [n, 3, h, w] of another colour space."""
    return torch.einsum("oc,nchw->nohw", planes.new_tensor(matrix), planes)


def _to_bytes(values: Tensor) -> Tensor:
    return values.round().clamp(0, 255)

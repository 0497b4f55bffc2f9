"""Which reduced precision a device computes natively."""

from typing import Literal

import torch

Precision = Literal["auto", "bf16", "fp32"]


def autocast_dtype(device: torch.device, precision: Precision) -> torch.dtype | None:
    """The type to autocast to, or None for plain float32.

    `auto` is bfloat16 where the device computes in it natively. Elsewhere it is emulated: on an AVX2 CPU ResNet50 up to
    layer2 at 32 px ran at 140 images/s under autocast against 1,278 in float32. `bf16` holds on any device.
    """
    if precision == "auto":
        return torch.bfloat16 if _computes_bf16(device) else None
    return torch.bfloat16 if precision == "bf16" else None


def _computes_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and _cpu_computes_bf16()


def _cpu_computes_bf16() -> bool:
    """Whether the CPU does. x86 needs AVX512-BF16 or AMX, ARM the Arm Compute Library too, which macOS lacks."""
    has = torch.cpu.get_capabilities()
    x86 = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    return x86 or bool(has.get("bf16") and torch.backends.mkldnn.is_acl_available())

"""Reduced precision is taken where a device computes in it, or where it is asked for."""

import pytest
import torch

from cifake_ray.training import precision
from cifake_ray.training.precision import autocast_dtype

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("capabilities", "dtype"),
    [({"avx2": True}, None), ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16)],
)
def test_auto_is_bfloat16_only_where_the_processor_has_it(
    capabilities: dict[str, bool], dtype: torch.dtype | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert autocast_dtype(CPU, "auto") is dtype


def test_a_precision_that_is_named_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_computes_bf16", lambda _: False)
    assert autocast_dtype(CPU, "bf16") is torch.bfloat16
    monkeypatch.setattr(precision, "_computes_bf16", lambda _: True)
    assert autocast_dtype(CPU, "fp32") is None

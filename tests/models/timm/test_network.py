"""Stages of timm's networks equal what the whole network gives out there, and nothing after the last stage is kept."""

import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from cifake_ray.errors import InputError
from cifake_ray.models.network import count_parameters
from cifake_ray.models.timm.library import random_network
from cifake_ray.models.timm.network import CutNetwork, TimmBackbone, layout, parameters

timm = pytest.importorskip("timm")
NETWORKS = {
    "test_vit": ["blocks.1", "blocks.3"],
    "test_convnext": ["stages.0", "stages.2"],
    "test_efficientnet": ["stem", "blocks.1", "blocks.3"],
    "test_resnet": ["layer1", "layer3"],
}


def images(size: int = 64) -> Tensor:
    return torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))


def outputs(network: Any, names: list[str], inputs: Tensor) -> dict[str, Tensor]:
    """What modules of these names give out in a forward pass of the whole network."""
    found: dict[str, Tensor] = {}
    modules = {name: network.bn1 if name == "stem" else network.get_submodule(name) for name in names}
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: found.__setitem__(name, output.clone()))
        for name, module in modules.items()
    ]
    with torch.inference_mode():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_pooled_stages_are_those_of_the_whole_network(name: str) -> None:
    stages = NETWORKS[name]
    whole = random_network(name, 64)
    expected = outputs(whole, stages, images())
    found = layout(name, 64)
    cut = CutNetwork(random_network(name, 64), found, stages[-1])
    columns = [f"{stage}.{statistic}" for stage in stages for statistic in ("mean", "std")]
    pooled = cut.pooled(images(), columns)
    for stage in stages:
        maps = expected[stage] if expected[stage].ndim == 4 else expected[stage][:, 1:].transpose(1, 2)
        torch.testing.assert_close(pooled[f"{stage}.mean"], maps.flatten(2).mean(2), rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(pooled[f"{stage}.std"], maps.flatten(2).std(2, correction=0), rtol=1e-3, atol=1e-5)
        assert found.width(f"{stage}.mean") == maps.shape[1]


def test_the_class_token_is_a_statistic_of_a_transformer() -> None:
    whole = random_network("test_vit", 64)
    expected = outputs(whole, ["blocks.2"], images())["blocks.2"][:, 0]
    cut = CutNetwork(random_network("test_vit", 64), layout("test_vit", 64), "blocks.2")
    pooled = cut.pooled(images(), ["blocks.2.cls", "blocks.2.mean"])
    torch.testing.assert_close(pooled["blocks.2.cls"], expected)
    assert list(pooled) == ["blocks.2.mean", "blocks.2.cls"]


@pytest.mark.parametrize("name", NETWORKS)
def test_what_comes_after_the_last_stage_is_cut_off(name: str) -> None:
    stage = NETWORKS[name][0]
    cut = CutNetwork(random_network(name, 64), layout(name, 64), stage)
    assert count_parameters(cut) == parameters(name, 64, stage) < count_parameters(random_network(name, 64)) / 2
    cut.pooled(images(), [f"{stage}.mean"])[f"{stage}.mean"].sum().backward()
    assert [key for key, value in cut.named_parameters() if value.grad is None] == []


def test_a_frozen_network_normalises_by_its_own_mean_and_deviation_and_never_trains() -> None:
    cut = CutNetwork(random_network("test_convnext", 64), layout("test_convnext", 64), "stages.0")
    backbone = TimmBackbone(cut, (0.5, 0.4, 0.3), (0.1, 0.2, 0.3)).train()
    pixels = torch.randint(0, 256, (2, 64, 64, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    by_hand = (pixels / 255 - torch.tensor([0.5, 0.4, 0.3])) / torch.tensor([0.1, 0.2, 0.3])
    expected = cut.pooled(by_hand.permute(0, 3, 1, 2), ["stages.0.std"])
    torch.testing.assert_close(backbone(pixels, 64, ["stages.0.std"]), expected, rtol=1e-4, atol=1e-5)
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not any(module.training for module in backbone.modules())


def test_random_weights_are_always_the_same_and_leave_the_generators_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = (random_network("test_vit", 64).state_dict() for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, second[key]) for key, value in first.items())


@pytest.mark.parametrize(
    ("name", "size", "words"),
    [
        ("vit_tny_patch16_224", 64, "timm has no vit_tny_patch16_224; did you mean vit_tiny_patch16_224?"),
        ("test_vit.nothing", 64, "timm has no weights nothing of test_vit; "),
        ("test_vit", 100, "timm's test_vit at 100 px: "),
    ],
)
def test_what_timm_has_not_is_one_line(name: str, size: int, words: str) -> None:
    with pytest.raises(InputError) as refused:
        layout(name, size)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_unknown_stages_and_a_class_token_where_none_is_are_refused() -> None:
    with pytest.raises(InputError, match=r"test_vit has no layer1; valid keys: blocks\.0, blocks\.1"):
        layout("test_vit", 64).check("test_vit", ["layer1"], ["mean"])
    with pytest.raises(InputError, match="test_convnext has no class token; remove cls"):
        layout("test_convnext", 64).check("test_convnext", ["stages.0"], ["cls"])


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    layout.cache_clear()
    with pytest.raises(InputError, match=r"timm cannot be imported.*pip install 'cifake-ray\[timm\]'"):
        layout("test_vit", 64)

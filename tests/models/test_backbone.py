"""The cut, folded, frozen backbone computes what torchvision's full model computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet
from torchvision.transforms.functional import normalize

from cifake_ray.errors import InputError
from cifake_ray.models.backbone import STAGE_CHANNELS, build_backbone, pool_map
from cifake_ray.models.weights import RANDOM, resolve_weights


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8))


def intermediate_outputs(network: ResNet, inputs: Tensor) -> dict[str, Tensor]:
    """Outputs of torchvision's unchanged model at the end of each stage."""
    outputs: dict[str, Tensor] = {}
    modules = {"stem": network.maxpool, **{f"layer{i}": getattr(network, f"layer{i}") for i in (1, 2, 3, 4)}}
    hooks = [
        module.register_forward_hook(lambda _m, _i, output, name=name: outputs.__setitem__(name, output.clone()))
        for name, module in modules.items()
    ]
    with torch.inference_mode():
        network(inputs)
    for hook in hooks:
        hook.remove()
    return outputs


@pytest.mark.parametrize("image_size", [32, 64])
def test_every_stage_equals_the_full_models_intermediate_output(
    tmp_path: Path, save_weights: Any, full_network: ResNet, images: Tensor, image_size: int
) -> None:
    weights = resolve_weights(str(save_weights(tmp_path / "all.safetensors", *STAGE_CHANNELS)), ["layer4"])
    inputs = torch.nn.functional.interpolate(
        normalize(images.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        size=image_size, mode="bilinear",
    )  # fmt: skip
    expected = intermediate_outputs(full_network, inputs)
    pooled = build_backbone(weights, "layer4")(images, image_size)
    for stage, channels in STAGE_CHANNELS.items():
        mean, std = expected[stage].mean((2, 3)), expected[stage].std((2, 3), correction=0)
        assert pooled[f"{stage}.mean"].shape == (4, channels)
        torch.testing.assert_close(pooled[f"{stage}.mean"], mean, rtol=1e-3, atol=1e-3 * float(mean.abs().max()))
        torch.testing.assert_close(pooled[f"{stage}.std"], std, rtol=1e-3, atol=1e-3 * float(std.abs().max()))


def test_backbone_is_cut_after_the_last_stage(tmp_path: Path, save_weights: Any, images: Tensor) -> None:
    weights = resolve_weights(str(save_weights(tmp_path / "part.safetensors", "stem", "layer1")), ["layer1"])
    backbone = build_backbone(weights, "layer1")
    assert list(backbone.stages) == ["stem", "layer1"]
    assert list(backbone(images, 32)) == ["stem.mean", "stem.std", "layer1.mean", "layer1.std"]


def test_batch_normalisation_stays_frozen_in_train_mode(images: Tensor) -> None:
    backbone = build_backbone(RANDOM, "layer1")
    before = backbone(images, 32)
    backbone.train()
    again = [backbone(images, 32) for _ in range(2)][-1]
    assert not backbone.training
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    for name, value in before.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)


def test_features_of_an_image_do_not_depend_on_its_batch(images: Tensor) -> None:
    backbone = build_backbone(RANDOM, "layer1")
    together, alone = backbone(images, 32), backbone(images[:1], 32)
    for name, value in alone.items():
        torch.testing.assert_close(together[name][:1], value, rtol=1e-4, atol=1e-4)


def test_random_weights_are_the_same_each_time_and_leave_the_callers_seed_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = build_backbone(RANDOM, "stem"), build_backbone(RANDOM, "stem")
    assert torch.equal(torch.rand(3), expected)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_standard_deviation_keeps_its_digits_beside_a_large_mean() -> None:
    maps = 1000 + torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.01
    torch.testing.assert_close(
        pool_map("s", maps)["s.std"], maps.double().std((2, 3), correction=0).float(), rtol=0.01, atol=0
    )


def test_file_changed_after_it_was_resolved_is_refused(tmp_path: Path, save_weights: Any) -> None:
    weights = resolve_weights(str(save_weights(tmp_path / "a.safetensors", "stem")), ["stem"])
    save_weights(tmp_path / "a.safetensors", "stem", "layer1")
    with pytest.raises(InputError, match="changed since"):
        build_backbone(weights, "stem")


def test_weights_with_nan_are_refused(tmp_path: Path, full_network: ResNet) -> None:
    state = {name: tensor.clone() for name, tensor in full_network.state_dict().items()}
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"conv1\.weight holds NaN"):
        build_backbone(resolve_weights(str(tmp_path / "nan.pth"), ["stem"]), "stem")

"""The cut, folded, frozen backbone computes what torchvision's full model computes."""

from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor
from torchvision.models import ResNet, get_model
from torchvision.transforms.functional import normalize

from cifake_ray.errors import InputError
from cifake_ray.experiment.families.stages import TABLE, BackboneKind, stages_of, taps_of, up_to
from cifake_ray.models.backbone import build_backbone, cut_network, normalise_imagenet
from cifake_ray.models.pooling import pool_map
from cifake_ray.models.stage_table import stage_table
from cifake_ray.models.weights import random_weights, resolve_weights

COLUMNS = ["stem.mean", "stem.std", "layer1.mean", "layer1.std"]


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
    weights = resolve_weights(
        "resnet50", str(save_weights(tmp_path / "all.safetensors", *stages_of("resnet50"))), ["layer4"]
    )
    inputs = torch.nn.functional.interpolate(
        normalize(images.permute(0, 3, 1, 2) / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        size=image_size, mode="bilinear",
    )  # fmt: skip
    expected = intermediate_outputs(full_network, inputs)
    columns = [f"{stage}.{name}" for stage in stages_of("resnet50") for name in ("mean", "std")]
    pooled = build_backbone(weights, "layer4")(images, image_size, columns)
    for stage in stages_of("resnet50"):
        channels = taps_of("resnet50")[stage].channels
        mean, std = expected[stage].mean((2, 3)), expected[stage].std((2, 3), correction=0)
        assert pooled[f"{stage}.mean"].shape == (4, channels)
        torch.testing.assert_close(pooled[f"{stage}.mean"], mean, rtol=1e-3, atol=1e-5 + 1e-3 * float(mean.abs().max()))
        torch.testing.assert_close(pooled[f"{stage}.std"], std, rtol=1e-3, atol=1e-5 + 1e-3 * float(std.abs().max()))


def test_backbone_is_cut_after_the_last_stage(tmp_path: Path, save_weights: Any, images: Tensor) -> None:
    weights = resolve_weights(
        "resnet50", str(save_weights(tmp_path / "part.safetensors", "stem", "layer1")), ["layer1"]
    )
    backbone = build_backbone(weights, "layer1.1")
    assert backbone.names == ("stem", "layer1.0", "layer1.1")
    assert list(backbone(images, 32, ["layer1.1.std", "stem.mean"])) == ["stem.mean", "layer1.1.std"]


def test_batch_normalisation_stays_frozen_in_train_mode(images: Tensor) -> None:
    backbone = build_backbone(random_weights("resnet50"), "layer1")
    before = backbone(images, 32, COLUMNS)
    backbone.train()
    again = [backbone(images, 32, COLUMNS) for _ in range(2)][-1]
    assert not backbone.training
    assert not any(module.training for module in backbone.modules())
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    for name, value in before.items():
        torch.testing.assert_close(again[name], value, rtol=0, atol=0)


def test_features_of_an_image_do_not_depend_on_its_batch(images: Tensor) -> None:
    backbone = build_backbone(random_weights("resnet50"), "layer1")
    together, alone = backbone(images, 32, COLUMNS), backbone(images[:1], 32, COLUMNS)
    for name, value in alone.items():
        torch.testing.assert_close(together[name][:1], value, rtol=1e-4, atol=1e-4)


def test_random_weights_are_the_same_each_time_and_leave_the_callers_seed_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, second = (
        build_backbone(random_weights("resnet50"), "stem"),
        build_backbone(random_weights("resnet50"), "stem"),
    )
    assert torch.equal(torch.rand(3), expected)
    assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


def test_standard_deviation_keeps_its_digits_beside_a_large_mean() -> None:
    maps = 1000 + torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.01
    torch.testing.assert_close(
        pool_map(maps, ["std"])["std"], maps.double().std((2, 3), correction=0).float(), rtol=0.01, atol=0
    )


def test_file_changed_after_it_was_resolved_is_refused(tmp_path: Path, save_weights: Any) -> None:
    weights = resolve_weights("resnet50", str(save_weights(tmp_path / "a.safetensors", "stem")), ["stem"])
    save_weights(tmp_path / "a.safetensors", "stem", "layer1")
    with pytest.raises(InputError, match="changed since"):
        build_backbone(weights, "stem")


def test_weights_with_nan_are_refused(tmp_path: Path, full_network: ResNet) -> None:
    state = {name: tensor.clone() for name, tensor in full_network.state_dict().items()}
    state["conv1.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"conv1\.weight holds NaN"):
        build_backbone(resolve_weights("resnet50", str(tmp_path / "nan.pth"), ["stem"]), "stem")


def test_the_table_of_stages_is_what_torchvision_has() -> None:
    assert TABLE.read_text() == stage_table(), "run `python -m cifake_ray.models.stage_table`"


@pytest.mark.parametrize("kind", get_args(BackboneKind))
def test_every_registered_network_has_stages_channels_and_prefixes_of_its_table(kind: str) -> None:
    with torch.device("meta"):
        network = get_model(kind).eval()
        blocks = cut_network(kind, network, stages_of(kind)[-1])
        inputs = torch.zeros(1, 3, 32, 32)
    assert list(blocks) == list(taps_of(kind))
    for name, block in blocks.items():
        inputs = block(inputs)
        assert inputs.shape[1] == taps_of(kind)[name].channels
    held = sum(block.state_dict() != {} for block in blocks.values())
    assert held == len(blocks)
    tensors = sum(len(block.state_dict()) for block in blocks.values())
    prefixes = tuple(prefix for tap in taps_of(kind).values() for prefix in tap.prefixes)
    assert sum(name.startswith(prefixes) for name in network.state_dict()) == tensors


@pytest.mark.parametrize("kind", ["resnet18", "efficientnet_b0", "convnext_tiny", "mobilenet_v3_small"])
def test_folding_batch_norm_changes_nothing_that_the_network_computes(kind: str, images: Tensor) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = get_model(kind).eval()
    last = up_to(kind, stages_of(kind)[-1])[4]
    inputs = normalise_imagenet(images, 32)
    with torch.inference_mode():
        for block in cut_network(kind, network, last).values():
            inputs = block(inputs)
        expected = pool_map(inputs, ["mean", "std"])
        pooled = build_backbone(random_weights(kind), last)(images, 32, [f"{last}.mean", f"{last}.std"])
    for name, values in expected.items():
        torch.testing.assert_close(pooled[f"{last}.{name}"], values, rtol=1e-3, atol=1e-3 * float(values.abs().max()))


def test_a_view_is_what_the_backbone_sees(images: Tensor) -> None:
    backbone = build_backbone(random_weights("resnet50"), "stem")
    mirrored = backbone(images.flip(2), 32, ["stem.mean"])["stem.mean"]
    torch.testing.assert_close(backbone(images, 32, ["stem.mean"], "flip")["stem.mean"], mirrored)

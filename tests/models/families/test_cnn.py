"""The custom CNNs: their layers, their sizes, their inputs."""

import pytest
import torch
from torch import nn

from cifake_ray.experiment.families.cnn import CnnDeepModel, CnnModel
from cifake_ray.models.families.cnn import CnnDeepFamily, CnnFamily, normalise_images
from cifake_ray.models.network import count_parameters
from cifake_ray.models.pooling import pool_map, pooled_width
from cifake_ray.models.registry import family_of

IMAGES = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)


CONFIGURATIONS = (
    CnnModel(),
    CnnModel(channels=8, kernel_size=5, widen=2, pool=("mean", "std", "max", "grid4")),
    CnnModel(image_size=48, pool=("flatten", "std")),
    CnnDeepModel(),
    CnnDeepModel(channels=8, image_size=64, pool=("mean", "std")),
)


@pytest.mark.parametrize("model", CONFIGURATIONS)
def test_every_configuration_gives_one_logit_an_image(model: CnnModel | CnnDeepModel) -> None:
    logits = family_of(model).build(model)(family_of(model).prepare(model)(IMAGES))
    assert logits.shape == (3,)
    assert logits.isfinite().all()


def test_cnn_has_exactly_two_convolutional_layers() -> None:
    modules = CnnFamily().build(CnnModel()).modules()
    assert sum(isinstance(module, nn.Conv2d) for module in modules) == 2


def test_cnn_deep_has_fewer_than_300_000_parameters_and_drops_nothing_by_default() -> None:
    network = CnnDeepFamily().build(CnnDeepModel())
    assert count_parameters(network) < 300_000
    assert {module.p for module in network.modules() if isinstance(module, nn.Dropout)} == {0.0}


def test_images_are_resized_bilinearly_and_lie_between_minus_one_and_one() -> None:
    grey = torch.full((2, 32, 32, 3), 255, dtype=torch.uint8)
    assert torch.equal(normalise_images(grey), torch.ones(2, 3, 32, 32))
    assert normalise_images(IMAGES, 64).shape == (3, 3, 64, 64)
    assert normalise_images(IMAGES, 16).mean((2, 3)) == pytest.approx(normalise_images(IMAGES).mean((2, 3)), abs=0.02)


def test_statistics_are_those_of_the_positions_and_as_wide_as_said() -> None:
    maps = torch.randn(2, 3, 8, 8)
    names = ("mean", "std", "max", "grid2", "grid4", "flatten", "corr")
    pooled = pool_map(maps, names)
    assert list(pooled) == [*names]
    torch.testing.assert_close(pooled["mean"], maps.mean((2, 3)))
    torch.testing.assert_close(pooled["std"], maps.std((2, 3), correction=0))
    torch.testing.assert_close(pooled["max"], maps.amax((2, 3)))
    torch.testing.assert_close(pooled["grid2"].reshape(2, 3, 2, 2)[:, :, 1, 0], maps[:, :, 4:, :4].mean((2, 3)))
    expected = torch.stack([torch.corrcoef(one.flatten(1))[[0, 0, 1], [1, 2, 2]] for one in maps])
    torch.testing.assert_close(pooled["corr"], expected, atol=1e-4, rtol=1e-4)
    assert [pooled[name].shape[1] for name in names] == [pooled_width(name, 3, 64) for name in names]


def test_correlations_of_many_channels_are_of_64_projections_and_tell_maps_apart() -> None:
    maps = torch.randn(3, 256, 8, 8)
    pooled = pool_map(maps, ["corr"])["corr"]
    assert pooled.shape == (3, 64 * 63 // 2) == (3, pooled_width("corr", 256))
    assert torch.equal(pooled, pool_map(maps, ["corr"])["corr"])
    assert pooled.abs().max() <= 1
    assert (pooled[0] - pooled[1]).abs().mean() > 0.05


def test_a_constant_channel_gives_gradients_and_no_nan() -> None:
    maps = torch.ones(2, 3, 4, 4, requires_grad=True)
    torch.cat([*pool_map(maps, ("mean", "std", "max", "grid2", "corr")).values()], 1).sum().backward()
    assert maps.grad is not None
    assert maps.grad.isfinite().all()

"""Augmented copies of train pictures: the same whatever the batches, another for each number, seed and row."""

import pytest
import torch
from torch import Tensor

from cifake_ray.experiment import Training
from cifake_ray.training.copies import augmented_copy

TRAINING = Training.model_validate(
    {"augment": "resize+blur+jpeg+noise", "blur_sigma": 2.0, "jpeg_rounds": 2, "seed": 3}
)
RECIPE = TRAINING.copy_recipe()


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randint(0, 256, (150, 32, 32, 3), generator=torch.Generator().manual_seed(1)).to(torch.uint8)


def test_a_rows_copy_does_not_depend_on_batches_or_shards(images: Tensor) -> None:
    whole = augmented_copy(images, 0, 1, RECIPE)
    for size in (7, 64, 100):
        parts = [augmented_copy(images[at : at + size], at, 1, RECIPE) for at in range(0, 150, size)]
        assert torch.equal(torch.cat(parts), whole)
    assert torch.equal(augmented_copy(images[70:75], 70, 1, RECIPE), whole[70:75])


def test_copies_differ_by_number_seed_and_row(images: Tensor) -> None:
    first = augmented_copy(images, 0, 1, RECIPE)
    assert not torch.equal(first, augmented_copy(images, 0, 2, RECIPE))
    assert not torch.equal(first, augmented_copy(images, 0, 1, RECIPE.model_copy(update={"seed": 4})))
    same = augmented_copy(images[:1].expand(150, -1, -1, -1), 0, 1, RECIPE)
    assert len({image.numpy().tobytes() for image in same}) > 100
    assert (first != images).flatten(1).any(1).float().mean() > 0.8


def test_a_recipe_holds_what_copies_follow_from_and_nothing_else() -> None:
    other = TRAINING.model_copy(update={"lr": 0.5, "epochs": 3, "screenshot_zoom": 2.0, "cutout_size": 3})
    assert other.copy_recipe() == RECIPE
    assert RECIPE.model_dump_json(exclude_unset=True) == other.copy_recipe().model_dump_json(exclude_unset=True)
    for name, value in {"jpeg_rounds": 1, "noise_std": 9.0, "seed": 4, "augment": ("jpeg",)}.items():
        assert TRAINING.model_copy(update={name: value}).copy_recipe() != RECIPE

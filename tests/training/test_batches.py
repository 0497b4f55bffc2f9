"""Rows, batches and augmentation."""

import torch

from cifake_ray.training.batches import CROP_PADDING, draw, epoch_rows


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_an_epoch_visits_each_row_once_and_drops_the_smaller_rest() -> None:
    rows = torch.arange(100, 110)
    batches = list(epoch_rows(rows, 3, generator()))
    assert [len(batch) for batch in batches] == [3, 3, 3]
    assert len(set(torch.cat(batches).tolist())) == 9


def test_a_batch_larger_than_the_set_is_the_whole_set() -> None:
    (batch,) = epoch_rows(torch.arange(5), 64, generator())
    assert sorted(batch.tolist()) == [0, 1, 2, 3, 4]


def test_without_augmentation_rows_come_as_they_are() -> None:
    images = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
    assert torch.equal(draw(images, torch.tensor([4, 1]), (), generator()), images[[4, 1]])


def test_flip_yields_the_image_or_its_mirror_and_both_occur() -> None:
    image = torch.arange(32 * 32 * 3, dtype=torch.int32).reshape(1, 32, 32, 3)
    drawn = draw(image, torch.zeros(64, dtype=torch.long), ("flip",), generator())
    mirrored = [bool(torch.equal(one, image[0].flip(1))) for one in drawn]
    assert all(mirror or torch.equal(one, image[0]) for one, mirror in zip(drawn, mirrored, strict=True))
    assert 15 < sum(mirrored) < 49


def test_crop_is_a_window_of_the_reflected_image() -> None:
    image = torch.randint(0, 256, (1, 32, 32, 3), dtype=torch.uint8)
    padded = torch.nn.functional.pad(image.permute(0, 3, 1, 2).float(), (CROP_PADDING,) * 4, mode="reflect")[0]
    windows = {
        padded[:, y : y + 32, x : x + 32].permute(1, 2, 0).to(torch.uint8).numpy().tobytes()
        for y in range(2 * CROP_PADDING + 1)
        for x in range(2 * CROP_PADDING + 1)
    }
    drawn = draw(image, torch.zeros(200, dtype=torch.long), ("crop",), generator())
    seen = {one.numpy().tobytes() for one in drawn}
    assert seen <= windows
    assert len(seen) > 60

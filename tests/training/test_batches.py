"""Rows, batches, and which inputs a network sees."""

import torch

from cifake_ray.experiment import Training
from cifake_ray.training.augment import BatchRandom
from cifake_ray.training.batches import FeatureInputs, ImageInputs, epoch_rows

CPU = torch.device("cpu")


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


def test_images_are_judged_under_every_view() -> None:
    images = torch.randint(0, 256, (6, 32, 32, 3), dtype=torch.uint8)
    plain, mirrored, shifted = ImageInputs(images, ("identity", "flip", "flip-left2")).views(torch.tensor([4, 1]))
    assert torch.equal(plain, images[[4, 1]])
    assert torch.equal(mirrored, images[[4, 1]].flip(2))
    assert torch.equal(shifted[:, :, :30], images[[4, 1]].flip(2)[:, :, 2:])
    assert torch.equal(shifted[:, :, 30], images[[4, 1]].flip(2)[:, :, 30])  # reflected at column 31


def test_training_draws_one_view_of_each_row_and_judging_takes_all() -> None:
    views = tuple((torch.arange(50).half()[:, None] + 100 * number,) for number in range(3))
    rows = torch.arange(50)
    drawn = FeatureInputs(views).draw(rows, Training(), BatchRandom(50, generator(), CPU)).squeeze(1)
    assert torch.equal(drawn % 100, rows.half())
    assert set((drawn // 100).tolist()) == {0, 1, 2}
    assert [view[7].item() for view in FeatureInputs(views).views(rows)] == [7, 107, 207]


def test_columns_stand_side_by_side() -> None:
    columns = (torch.arange(8).reshape(4, 2).half(), torch.arange(4).reshape(4, 1).half())
    (seen,) = FeatureInputs((columns,)).views(torch.tensor([3, 1]))
    assert seen.tolist() == [[6, 7, 3], [2, 3, 1]]


def test_the_workers_of_a_batch_draw_together_what_one_worker_draws_alone() -> None:
    images = torch.randint(0, 256, (9, 32, 32, 3), dtype=torch.uint8)
    training = Training(augment=("flip", "crop", "blur", "noise", "jpeg", "cutout"))
    rows = torch.arange(9)
    alone = ImageInputs(images).draw(rows, training, BatchRandom(9, generator(), CPU))
    for rank in range(2):
        share = slice(rank, None, 2)
        mine = ImageInputs(images).draw(rows[share], training, BatchRandom(9, generator(), CPU, share))
        assert torch.equal(mine, alone[share])

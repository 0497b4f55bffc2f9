"""Rows, batches, and which inputs a network sees."""

import torch

from cifake_ray.experiment import Training
from cifake_ray.training.augment import BatchRandom, cut_squares
from cifake_ray.training.batches import FeatureInputs, ImageInputs, epoch_rows, rows_at_once

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


def numbered(count: int, height: int, width: int) -> torch.Tensor:
    """Images whose pixels say where they are: (row, column, image)."""
    images = torch.zeros(count, height, width, 3, dtype=torch.uint8)
    images[..., 0] = torch.arange(height)[None, :, None]
    images[..., 1] = torch.arange(width)[None, None, :]
    images[..., 2] = torch.arange(count)[:, None, None]
    return images


ROOM = numbered(6, 40, 40)  # of which native pixels are so high and wide, and where the centred square lies
VALID = torch.tensor(
    [[40, 40, 12, 12], [16, 30, 0, 7], [20, 20, 2, 2], [40, 16, 12, 0], [16, 16, 0, 0], [17, 40, 0, 12]]
)
WINDOW = Training(augment=("window",))


def test_squares_with_room_are_judged_at_their_centre() -> None:
    rows = torch.tensor([5, 0, 1])
    (seen,) = ImageInputs(ROOM, ("identity",), "crop", 16, VALID).views(rows)
    assert seen.shape == (3, 16, 16, 3)
    assert seen[:, 0, 0].tolist() == [[0, 12, 5], [12, 12, 0], [0, 7, 1]]
    plain = ImageInputs(ROOM, ("identity",), "crop", 16, VALID).draw(rows, Training(), BatchRandom(3, generator(), CPU))
    assert torch.equal(plain, seen)


def test_window_draws_every_square_within_the_native_pixels() -> None:
    inputs, corners = ImageInputs(ROOM, ("identity",), "crop", 16, VALID), set()
    for seed in range(60):
        drawn = inputs.draw(torch.arange(6), WINDOW, BatchRandom(6, generator(seed), CPU))
        assert drawn.shape == (6, 16, 16, 3)
        ends = drawn[:, -1, -1, :2].long() + 1
        assert (ends <= VALID[:, :2]).all()
        assert drawn[:, 0, 0, 2].tolist() == [0, 1, 2, 3, 4, 5]
        corners |= {tuple(corner) for corner in drawn[2:3, 0, 0, :2].tolist()}
    assert {0, 4} <= {top for top, _ in corners} <= {0, 1, 2, 3, 4}


def test_window_moves_within_images_that_are_held_larger_than_the_square() -> None:
    inputs = ImageInputs(numbered(4, 32, 32), ("identity", "flip"), "crop", 24)
    (centre, mirrored), rows = inputs.views(torch.arange(4)), torch.arange(4)
    assert centre[:, 0, 0, :2].tolist() == [[4, 4]] * 4
    assert torch.equal(mirrored, centre.flip(2))
    drawn = inputs.draw(rows.repeat(50), WINDOW, BatchRandom(200, generator(), CPU))
    assert set(drawn[:, 0, 0, 0].tolist()) == set(range(9))
    assert torch.equal(inputs.draw(rows, Training(), BatchRandom(4, generator(), CPU)), centre)


def test_training_draws_one_tile_a_row_and_judging_takes_all() -> None:
    tiles = torch.stack([numbered(8, 16, 16) + 20 * number for number in range(5)], dim=1)
    looks = ("tile0/identity", "tile3/flip")
    first, fourth = ImageInputs(tiles, looks, "tiles", 16).views(torch.tensor([2, 5]))
    assert torch.equal(first, tiles[[2, 5], 0])
    assert torch.equal(fourth, tiles[[2, 5], 3].flip(2))
    rows = torch.arange(8).repeat(20)
    drawn = ImageInputs(tiles, looks, "tiles", 16).draw(rows, Training(), BatchRandom(160, generator(), CPU))
    assert drawn.shape == (160, 16, 16, 3)
    assert set((drawn[:, 0, 0, 0] // 20).tolist()) == {0, 1, 2, 3, 4}
    held = ImageInputs(numbered(3, 32, 32), looks, "tiles", 16)
    assert [seen[1, 0, 0].tolist() for seen in held.views(torch.arange(3))] == [[8, 8, 1], [16, 15, 1]]
    assert held.draw(torch.arange(3), Training(), BatchRandom(3, generator(), CPU)).shape == (3, 16, 16, 3)


def test_workers_draw_the_windows_and_tiles_that_one_worker_draws_alone() -> None:
    tiles = torch.stack([ROOM[:, :16, :16] + number for number in range(5)], dim=1)
    for inputs in (ImageInputs(ROOM, (), "crop", 16, VALID), ImageInputs(tiles, (), "tiles", 16)):
        alone = inputs.draw(torch.arange(6), WINDOW, BatchRandom(6, generator(), CPU))
        share = slice(1, None, 2)
        mine = inputs.draw(torch.arange(6)[share], WINDOW, BatchRandom(6, generator(), CPU, share))
        assert torch.equal(mine, alone[share])


def test_a_cut_by_slices_is_a_cut_by_index() -> None:
    rows, corners = torch.tensor([3, 0, 3]), torch.tensor([[0, 24], [5, 6], [24, 0]])
    cut = cut_squares(ROOM, rows, corners, 16)
    assert [square[0, 0].tolist() for square in cut] == [[0, 24, 3], [5, 6, 0], [24, 0, 3]]


def test_large_images_are_judged_in_smaller_batches() -> None:
    assert [rows_at_once(side) for side in (32, 64, 128, 1024, 5000)] == [1000, 1000, 250, 3, 1]
    assert ImageInputs(numbered(1, 200, 200), (), "crop", 128).at_once == 250


def test_heads_train_on_views_and_copies_and_are_judged_by_views_alone() -> None:
    def column(base: int, rows: int) -> tuple[torch.Tensor, ...]:
        return ((base + torch.arange(rows))[:, None].half(),)

    train = torch.tensor([5, 0, 3])  # of 6 rows; the others validate
    places = torch.full((6,), -1).index_copy_(0, train, torch.arange(3))
    inputs = FeatureInputs((column(0, 6), column(100, 6)), (column(200, 3), column(300, 3)), places)
    assert [view.flatten().tolist() for view in inputs.views(torch.tensor([1, 4]))] == [[1, 4], [101, 104]]
    drawn = inputs.draw(train.repeat(100), Training(), BatchRandom(300, generator(), CPU)).flatten()
    seen = {int(row): sorted(set(drawn[at::3].tolist())) for at, row in enumerate(train)}
    assert seen == {5: [5, 105, 200, 300], 0: [0, 100, 201, 301], 3: [3, 103, 202, 302]}
    shares = [int((drawn // 100 == number).sum()) for number in range(4)]
    assert all(50 < count < 100 for count in shares)

"""Views of a batch: the image, its mirror, shifts that reflect at the border."""

import torch

from cifake_ray.models.views import apply_view, reflect

ROW = torch.arange(5, dtype=torch.uint8).reshape(1, 1, 5, 1).expand(1, 5, 5, 3)
COLUMN = ROW.transpose(1, 2)


def test_the_mirror_of_the_mirror_is_the_image() -> None:
    assert apply_view(ROW, "flip")[0, 0, :, 0].tolist() == [4, 3, 2, 1, 0]
    assert torch.equal(apply_view(ROW, "flip-flip"), ROW)
    assert torch.equal(apply_view(ROW, "identity"), ROW)


def test_a_shift_moves_the_image_and_fills_by_reflection() -> None:
    assert apply_view(ROW, "left2")[0, 0, :, 0].tolist() == [2, 3, 4, 3, 2]
    assert apply_view(ROW, "right1")[0, 0, :, 0].tolist() == [1, 0, 1, 2, 3]
    assert apply_view(COLUMN, "up1")[0, :, 0, 0].tolist() == [1, 2, 3, 4, 3]
    assert torch.equal(apply_view(COLUMN, "left2"), COLUMN)


def test_steps_are_taken_in_the_order_in_which_they_are_named() -> None:
    assert apply_view(ROW, "flip-left1")[0, 0, :, 0].tolist() == [3, 2, 1, 0, 1]


def test_reflection_does_not_repeat_the_border() -> None:
    assert reflect(torch.tensor([-2, -1, 0, 4, 5, 6]), 5).tolist() == [2, 1, 0, 4, 3, 2]

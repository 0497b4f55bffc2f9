"""The head on frozen features."""

import torch

from cifake_ray.models.head import Head, InputDropout


def test_input_dropout_zeroes_its_share_and_keeps_the_mean() -> None:
    torch.manual_seed(0)
    dropped = InputDropout(0.4)(torch.ones(1000, 999))
    assert abs(float((dropped == 0).float().mean()) - 102 / 256) < 2e-3
    assert abs(float(dropped.mean()) - 1) < 5e-3
    assert len(dropped.unique()) == 2


def test_input_dropout_follows_from_the_seed_and_is_off_in_evaluation() -> None:
    layer, drawn = InputDropout(0.5), []
    for _ in range(2):
        torch.manual_seed(7)
        drawn.append(layer(torch.ones(3, 5)))
    assert torch.equal(*drawn)
    assert torch.equal(layer.eval()(torch.ones(3, 5)), torch.ones(3, 5))


def test_the_largest_input_dropout_leaves_something() -> None:
    torch.manual_seed(0)
    assert torch.isfinite(InputDropout(0.999)(torch.ones(100, 100))).all()


def test_the_head_leaves_the_features_as_they_are_and_passes_gradients() -> None:
    head, features = Head(6, head_width=4, dropout=0.5), torch.randn(8, 6, requires_grad=True)
    before = features.detach().clone()
    head(features).sum().backward()
    assert torch.equal(features.detach(), before)
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


def test_standardised_features_are_clamped() -> None:
    head = Head(2, head_width=3)
    head.standardise_by(torch.tensor([[0.0, 1.0], [2.0, 3.0]]))
    assert torch.equal(head(torch.tensor([[1e6, 2.0]])), head(torch.tensor([[1e9, 2.0]])))

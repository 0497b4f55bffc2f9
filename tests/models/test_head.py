"""The head on frozen features."""

import torch

from cifake_ray.models.head import Head, InputDropout, NormaliseFeatures


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


def test_each_statistic_is_normalised_by_itself_picture_by_picture() -> None:
    features = torch.randn(6, 9, generator=torch.Generator().manual_seed(0)) * 50 + 7
    whole = NormaliseFeatures([("layer", 4), ("l2", 3), ("none", 2)])(features)
    layer, length, kept = whole.split([4, 3, 2], dim=1)
    torch.testing.assert_close(layer.mean(1), torch.zeros(6), atol=1e-5, rtol=0)
    torch.testing.assert_close(layer.std(1, correction=0), torch.ones(6))
    torch.testing.assert_close(length.norm(dim=1), torch.ones(6))
    torch.testing.assert_close(kept, features[:, 7:])
    alone = NormaliseFeatures([("layer", 4)])(features[2:3, :4])
    torch.testing.assert_close(alone, layer[2:3])


def test_layer_norm_and_length_take_the_scale_of_a_picture_away() -> None:
    features = torch.rand(3, 8, generator=torch.Generator().manual_seed(1)) * 1e-3  # as small as shallow deviations
    for norm in ("layer", "l2"):
        normalise = NormaliseFeatures([(norm, 8)])
        torch.testing.assert_close(normalise(features), normalise(1000 * features), rtol=1e-3, atol=1e-3)


def test_without_a_norm_the_features_pass_as_they_are_in_their_own_type() -> None:
    features = torch.randn(2, 5).half()
    assert NormaliseFeatures([("none", 2), ("none", 3)])(features) is features


def test_a_head_standardises_normalised_features_and_stores_no_more_tensors() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(2)) * 9
    head = Head(6, 4, parts=[("layer", 3), ("none", 3)])
    head.standardise_by(features)
    normalised = head.normalise(features)
    torch.testing.assert_close(head.mean, normalised.mean(0))
    torch.testing.assert_close(head.std, normalised.std(0))
    assert head.state_dict().keys() == Head(6, 4).state_dict().keys()
    assert not torch.allclose(head(features), Head(6, 4)(features))

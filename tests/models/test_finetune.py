"""A backbone that is trained on: which parts learn, how fast, and what stays as it was."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cifake_ray.experiment import Training
from cifake_ray.experiment.families.torchvision import BackboneModel
from cifake_ray.models.finetune import FineTunedBlocks
from cifake_ray.models.network import count_parameters
from cifake_ray.models.registry import family_of
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, fit
from cifake_ray.training.optimizer import build_optimizer
from cifake_ray.training.standardise import standardise

STAGES = ("stem", "layer1.0", "layer1")


def model_of(**model: Any) -> BackboneModel:
    tree = {"kind": "resnet18", "weights": "random", "image_size": 32, "stages": STAGES, "head_width": 8}
    return BackboneModel.model_validate(tree | {"trainable": "last-stage"} | model)


def fit_of(model: BackboneModel, folder: Path | None = None, **training: Any) -> Fit:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (48, 32, 32, 3), generator=generator, dtype=torch.uint8)
    rows = torch.arange(48)
    inputs, prepare = ImageInputs(images, model.views), family_of(model).prepare(model)
    data = TrainingSet(inputs, (rows % 2).float(), rows[:32], rows[32:], prepare)
    torch.manual_seed(0)
    network = family_of(model).start(model)
    standardise(network, data)
    settings = {"epochs": 2, "batch_size": 16, "precision": "fp32", "augment": ["flip", "crop"]} | training
    return Fit(network, data, Training.model_validate(settings), folder=folder)


def state(module: nn.Module) -> dict[str, Tensor]:
    return copy.deepcopy(module.state_dict())


@pytest.mark.parametrize(("trainable", "learning"), [("last-stage", {"layer1.0", "layer1"}), ("all", {*STAGES})])
def test_only_the_trainable_blocks_learn_and_the_others_keep_their_batch_norm(
    trainable: str, learning: set[str]
) -> None:
    work = fit_of(model_of(trainable=trainable))
    assert isinstance(work.network, FineTunedBlocks)
    before = dict(zip(work.network.names, map(state, work.network.blocks), strict=True))
    fit(work, lambda _: None)
    for name, block in zip(work.network.names, work.network.blocks, strict=True):
        kept = [torch.equal(tensor, block.state_dict()[key]) for key, tensor in before[name].items()]
        assert not any(kept) if name in learning else all(kept)


def test_the_backbone_learns_at_its_own_rate() -> None:
    work = fit_of(model_of(backbone_lr_factor=0.25), lr=1e-2, lr_schedule="constant")
    fit(work, lambda _: None)
    head, blocks = work.optimizer.param_groups
    assert (head["lr"], blocks["lr"]) == pytest.approx((1e-2, 2.5e-3))
    together = sum(parameter.numel() for group in (head, blocks) for parameter in group["params"])
    assert together == count_parameters(work.network, trained=True) < count_parameters(work.network)


def test_a_resumed_fine_tuning_goes_on_exactly_as_an_uninterrupted_one(tmp_path: Path) -> None:
    curves: list[list[float]] = []
    for folder in (None, tmp_path):
        if folder:
            with pytest.raises(KeyboardInterrupt):
                fit(fit_of(model_of(), folder, ema=0.9), lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        work = fit_of(model_of(), folder, ema=0.9)
        fit(work, lambda _: None)
        curves.append([epoch.val_loss for epoch in work.progress.curve])
    assert curves[0] == curves[1]


def test_the_head_begins_with_features_of_mean_zero_and_deviation_one() -> None:
    work = fit_of(model_of())
    assert isinstance(work.network, FineTunedBlocks)
    work.network.eval()
    rows = work.data.train
    features = work.network.features(work.data.prepare(next(work.data.inputs.views(rows)))).detach()
    standard = (features - work.network.head.mean) / work.network.head.std
    assert standard.mean(0).abs().max() < 1e-3
    assert standard.std(0).median() == pytest.approx(1, abs=1e-3)


def test_every_family_takes_a_training_step() -> None:
    for kind, stages in (("convnext_tiny", ("features.1",)), ("mobilenet_v3_small", ("features.0", "features.2"))):
        model = model_of(kind=kind, stages=stages, trainable="all", pool=("mean", "std", "max", "grid2", "corr"))
        network, prepare = family_of(model).start(model), family_of(model).prepare(model)
        network(prepare(torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8))).sum().backward()
        for group in build_optimizer(network, Training()).param_groups:
            assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in group["params"])

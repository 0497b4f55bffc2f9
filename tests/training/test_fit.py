"""The fit loop alone: no Ray."""

import multiprocessing
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import nn

from cifake_ray.experiment import Training
from cifake_ray.models.families.cnn import Cnn, normalise_images
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.checkpoint import BEST, LAST, load_checkpoint, unnamed
from cifake_ray.training.fit import Fit, TrialFailed, fit
from cifake_ray.training.validation import CLEAN_TRAIN_IMAGES, evaluate, predict_batch, sample_rows

ROWS = 96


def images_set() -> TrainingSet:
    """Two classes that differ in brightness, so that a few steps learn them."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(ROWS) % 2).float()
    noise = torch.randint(0, 120, (ROWS, 32, 32, 3), generator=generator)
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return TrainingSet(ImageInputs(images), labels, torch.arange(0, 64), torch.arange(64, ROWS), normalise_images)


def small_fit(folder: Path | None = None, network: nn.Module | None = None, **training: object) -> Fit:
    settings = Training.model_validate({"epochs": 4, "batch_size": 16, "lr": 1e-3, "precision": "fp32"} | training)
    torch.manual_seed(settings.seed)
    return Fit(network or Cnn(channels=4, head_width=8), images_set(), settings, folder=folder)


def run(work: Fit) -> list[dict[str, float]]:
    rows: list[dict[str, float]] = []
    fit(work, rows.append)
    return rows


def without_times(rows: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if "seconds" not in key} for row in rows]


def test_every_epoch_reports_losses_accuracies_and_the_best_so_far() -> None:
    rows = run(small_fit(epochs=6, augment=["flip", "crop"], lr=3e-3))
    assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"]
    assert rows[-1]["best_val_accuracy"] == max(row["val_accuracy"] for row in rows) > 0.9
    assert rows[-1]["best_train_accuracy"] > 0.9


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others() -> None:
    first, second = (without_times(run(small_fit(augment=["flip"]))) for _ in range(2))
    assert first == second
    assert without_times(run(small_fit(augment=["flip"], seed=1))) != first


EVERYTHING = {"augment": ["flip", "crop", "blur", "noise", "jpeg", "cutout"], "label_smoothing": 0.1, "warmup": 0.3}


@pytest.mark.parametrize("settings", [{"augment": ["flip"]}, {"optimizer": "sgd", "ema": 0.9, **EVERYTHING}])
def test_a_resumed_trial_goes_on_exactly_as_an_uninterrupted_one(tmp_path: Path, settings: dict[str, Any]) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return Cnn(4, 8, dropout=0.5)

    whole = without_times(run(small_fit(network=network(), **settings)))
    left = iter(range(2))

    def killed_in_the_third_epoch(row: dict[str, float]) -> None:  # noqa: ARG001
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small_fit(tmp_path, network(), **settings), killed_in_the_third_epoch)
    resumed = without_times(run(small_fit(tmp_path, network(), **settings)))
    reported = [{k: v for k, v in row.items() if not k.startswith("best")} for row in resumed]
    assert reported == [{k: v for k, v in row.items() if not k.startswith("best")} for row in whole]
    assert resumed[-1] == whole[-1]


def test_a_damaged_checkpoint_means_training_from_the_start(tmp_path: Path) -> None:
    run(small_fit(tmp_path))
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:200])
    assert load_checkpoint(tmp_path / LAST) is None
    assert [row["epoch"] for row in run(small_fit(tmp_path))] == [1, 2, 3, 4]


@pytest.mark.parametrize("file", [LAST, BEST])
@pytest.mark.parametrize("at", [0.3, 0.6, 0.9])
def test_one_flipped_bit_in_a_checkpoint_means_training_from_the_start(tmp_path: Path, file: str, at: float) -> None:
    first = without_times(run(small_fit(tmp_path, epochs=2)))
    data = bytearray((tmp_path / file).read_bytes())
    data[int(at * len(data))] ^= 1
    (tmp_path / file).write_bytes(bytes(data))
    assert load_checkpoint(tmp_path / file) is None
    assert without_times(run(small_fit(tmp_path, epochs=2))) == first
    assert all(load_checkpoint(tmp_path / name) is not None for name in (LAST, BEST))


def test_a_lost_best_checkpoint_is_made_again(tmp_path: Path) -> None:
    run(small_fit(tmp_path, epochs=2))
    (tmp_path / BEST).unlink()
    run(small_fit(tmp_path, epochs=2))
    assert load_checkpoint(tmp_path / BEST) is not None


def test_the_best_checkpoint_is_the_best_epoch(tmp_path: Path) -> None:
    rows = run(small_fit(tmp_path, lr=1e-2))
    stored = load_checkpoint(tmp_path / BEST)
    assert stored is not None
    assert stored[1]["best_epoch"] == rows[-1]["best_epoch"]
    assert len(stored[1]["curve"]) == rows[-1]["best_epoch"]


def test_a_sample_of_rows_sorted_by_class_holds_both_classes() -> None:
    """The head's standardisation and the clean training accuracy rest on it."""
    rows = torch.arange(5 * CLEAN_TRAIN_IMAGES)
    sampled = sample_rows(rows)
    assert len(set(sampled.tolist())) == CLEAN_TRAIN_IMAGES
    assert 0.45 < (sampled < len(rows) // 2).float().mean() < 0.55
    assert torch.equal(sample_rows(rows[:7]), rows[:7])


def test_nan_stops_the_trial_with_its_reason() -> None:
    network = Cnn(channels=4, head_width=8)
    with torch.no_grad():
        next(network.parameters()).fill_(float("nan"))
    with pytest.raises(TrialFailed, match="training loss is nan in epoch 1; lower the learning rate"):
        run(small_fit(network=network))


def test_the_moving_average_is_what_is_validated_and_saved(tmp_path: Path) -> None:
    work = small_fit(tmp_path, ema=0.5)
    fit(work, lambda _: None)
    best, last = (load_checkpoint(tmp_path / name) for name in (BEST, LAST))
    assert best is not None
    assert last is not None
    assert work.average is not None
    if work.progress.best_epoch == 4:
        torch.testing.assert_close(best[0]["model.head.2.weight"], last[0]["average.module.head.2.weight"])
    assert not torch.equal(last[0]["model.head.2.weight"], last[0]["average.module.head.2.weight"])
    averaged = work.average.module.state_dict()
    with torch.no_grad():
        for parameter in work.network.parameters():
            parameter.zero_()
    assert evaluate(work, work.data.validation)[0] == pytest.approx(work.progress.curve[-1].val_loss)
    assert set(unnamed("model.", best[0])) == set(averaged)


def test_label_smoothing_keeps_the_network_from_being_sure() -> None:
    sure, unsure = small_fit(epochs=8, lr=1e-2), small_fit(epochs=8, lr=1e-2, label_smoothing=0.6)
    for work in (sure, unsure):
        fit(work, lambda _: None)
    furthest = [predict_batch(work, work.data.train).abs().max() for work in (sure, unsure)]
    assert furthest[1] < 3 < furthest[0]  # the optimum of smoothed labels is at logits of +-0.85


def dense() -> nn.Module:
    """No batch norm, no dropout: what two workers compute must be what one computes."""
    torch.manual_seed(0)

    class Dense(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(32 * 32 * 3, 8), nn.ReLU(), nn.Linear(8, 1))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.layers(images.contiguous()).squeeze(1)

    return Dense()


def one_of_two(rank: int, port: int, results: "multiprocessing.Queue[list[dict[str, float]]]") -> None:
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    rows = run(small_fit(network=dense(), batch_size=14))
    if rank == 0:
        results.put(rows)
    dist.destroy_process_group()


def test_two_workers_give_the_loss_of_one_at_the_same_global_batch() -> None:
    """Relative tolerance 1e-4: sums are taken in another order, in float32, over 16 steps. The batch of 14 is odd per
    worker in no step and the 64 rows leave a rest, which is dropped by both."""
    alone = run(small_fit(network=dense(), batch_size=14))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    workers = [context.Process(target=one_of_two, args=(rank, port, results)) for rank in range(2)]
    for worker in workers:
        worker.start()
    together = results.get(timeout=120)
    for worker in workers:
        worker.join(30)
    for one, two in zip(alone, together, strict=True):
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=1e-4)
        assert two["val_loss"] == pytest.approx(one["val_loss"], rel=1e-4)
        assert two["train_accuracy"] == pytest.approx(one["train_accuracy"], abs=1.01 / 56)

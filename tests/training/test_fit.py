"""The fit loop alone: no Ray."""

import multiprocessing
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import nn

from cifake_ray.experiment import Training
from cifake_ray.models.cnn import Cnn, normalise_images
from cifake_ray.training.batches import TrainingSet
from cifake_ray.training.checkpoint import BEST, LAST, load_checkpoint
from cifake_ray.training.fit import CLEAN_TRAIN_IMAGES, Fit, TrialFailed, fit, learning_rate, sample_rows

ROWS = 96


def images_set() -> TrainingSet:
    """Two classes that differ in brightness, so that a few steps learn them."""
    generator = torch.Generator().manual_seed(0)
    labels = (torch.arange(ROWS) % 2).float()
    noise = torch.randint(0, 120, (ROWS, 32, 32, 3), generator=generator)
    images = (noise + 60 * labels[:, None, None, None]).to(torch.uint8)
    return TrainingSet(images, labels, torch.arange(0, 64), torch.arange(64, ROWS), normalise_images)


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


def test_a_resumed_trial_goes_on_exactly_as_an_uninterrupted_one(tmp_path: Path) -> None:
    def network() -> nn.Module:
        torch.manual_seed(0)
        return Cnn(4, 8, dropout=0.5)

    whole = without_times(run(small_fit(network=network(), augment=["flip"])))
    left = iter(range(2))

    def killed_in_the_third_epoch(row: dict[str, float]) -> None:  # noqa: ARG001
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small_fit(tmp_path, network(), augment=["flip"]), killed_in_the_third_epoch)
    resumed = without_times(run(small_fit(tmp_path, network(), augment=["flip"])))
    reported = [{k: v for k, v in row.items() if not k.startswith("best")} for row in resumed]
    assert reported == [{k: v for k, v in row.items() if not k.startswith("best")} for row in whole]
    assert resumed[-1] == whole[-1]


def test_a_damaged_checkpoint_means_training_from_the_start(tmp_path: Path) -> None:
    run(small_fit(tmp_path))
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:200])
    assert load_checkpoint(tmp_path / LAST) is None
    assert [row["epoch"] for row in run(small_fit(tmp_path))] == [1, 2, 3, 4]


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


def test_cosine_falls_from_lr_to_zero_and_constant_stays() -> None:
    cosine = Training(epochs=10, lr=0.1)
    assert learning_rate(cosine, 0) == pytest.approx(0.1)
    assert learning_rate(cosine, 5) == pytest.approx(0.05)
    assert learning_rate(cosine, 10) == pytest.approx(0.0)
    assert learning_rate(Training(lr=0.1, lr_schedule="constant"), 9) == 0.1


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

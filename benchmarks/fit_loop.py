"""4 and 5: training `cnn`: against torchvision's ImageFolder and DataLoader, and against a bare loop over tensors.

    python -m benchmarks.fit_loop [--runs 5]

Generated pictures, written as JPEG for the ImageFolder. All sides train the same network with the same batches' size.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from benchmarks.pairs import OTHER, OURS, RUNS, Row, alternate, compared, measure
from cifake_ray.experiment import Training
from cifake_ray.models.families.cnn import Cnn, normalise_images
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, train_epoch
from cifake_ray.training.memory import keep_freed_memory
from cifake_ray.training.optimizer import build_optimizer
from cifake_ray.training.precision import autocast_dtype

IMAGES, BATCH = 10_000, 128
TRAINING = Training(epochs=1, lr=1e-3, batch_size=BATCH, augment=("flip",))


def network() -> Cnn:
    torch.manual_seed(0)
    return Cnn(32, 64).to(memory_format=torch.channels_last)


def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 32, 32, 3), generator=generator, dtype=torch.uint8)
    return images, (torch.arange(IMAGES) % 2).float()


def check_same(loss: float) -> None:
    """Exit when a side did not train on what all do: noise, which one epoch of any of them leaves near ln 2."""
    if not 0.6 < loss < 0.9:
        raise SystemExit(f"the mean training loss was {loss:.3f}")


def ours(images: torch.Tensor, labels: torch.Tensor, threads: int, training: Training = TRAINING) -> float:
    """Images a second of one epoch of the fit loop."""
    rows = torch.arange(len(images))
    work = Fit(network(), TrainingSet(ImageInputs(images), labels, rows, rows[:BATCH], normalise_images), training,
               threads=threads)  # fmt: skip
    began = time.perf_counter()
    loss, _ = train_epoch(work, work.network, 1)
    check_same(loss)
    return len(images) // BATCH * BATCH / (time.perf_counter() - began)


def bare(images: torch.Tensor, labels: torch.Tensor, threads: int) -> float:
    """The same arithmetic by hand: no augmentation, no metrics, batches sliced from a shuffled copy."""
    torch.set_num_threads(threads)
    keep_freed_memory()
    net, total, order = (
        network().train(),
        torch.zeros(()),
        torch.randperm(len(images), generator=torch.Generator().manual_seed(0)),
    )
    optimizer = build_optimizer(net, TRAINING)
    dtype = autocast_dtype(torch.device("cpu"), "auto")
    began = time.perf_counter()
    for start in range(0, len(images) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        with torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None):
            logits = net(normalise_images(images[rows]))
        loss = binary_cross_entropy_with_logits(logits.float(), labels[rows])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    check_same(total.item() / (len(images) // BATCH))
    return len(images) // BATCH * BATCH / (time.perf_counter() - began)


def image_folder(folder: Path, threads: int, workers: int) -> float:
    """As notebooks do it: ImageFolder, DataLoader, fp32, the loss read at every step."""
    torch.set_num_threads(threads)
    to_float = v2.ToDtype(torch.float32, scale=True)
    transform = v2.Compose([v2.ToImage(), v2.RandomHorizontalFlip(), to_float, v2.Normalize([0.5] * 3, [0.5] * 3)])
    loader = DataLoader(ImageFolder(str(folder), transform), BATCH, shuffle=True, num_workers=workers, drop_last=True)
    torch.manual_seed(0)
    net, total = Cnn(32, 64).train(), 0.0
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    began = time.perf_counter()
    for images, labels in loader:
        optimizer.zero_grad()
        loss = binary_cross_entropy_with_logits(net(images), labels.float())
        loss.backward()
        optimizer.step()
        total += loss.item()
    check_same(total / len(loader))
    return len(loader) * BATCH / (time.perf_counter() - began)


def best_setting(folder: Path, threads: int) -> Callable[[], float]:
    """ImageFolder at the fastest number of loader processes for these threads."""
    tried = {workers: image_folder(folder, threads, workers) for workers in range(threads + 1)}
    return partial(image_folder, folder, threads, max(tried, key=lambda workers: tried[workers]))


def write_folder(images: torch.Tensor, folder: Path) -> None:
    for number, pixels in enumerate(np.asarray(images)):
        file = folder / ("FAKE", "REAL")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file, quality=75)


@contextmanager
def on_cores(count: int) -> Iterator[None]:
    """Keep this process, and the loader processes that it starts, to so many cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:count])
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def compare(runs: int = RUNS) -> list[Row]:
    images, labels = pictures()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        write_folder(images, Path(name))
        for cores in (1, len(os.sched_getaffinity(0))):
            with on_cores(cores):
                sides = {OURS: partial(ours, images, labels, cores), OTHER: best_setting(Path(name), cores)}
                found = alternate(sides, runs)
            what = f"`cnn` training on {cores} core{'s' * (cores > 1)}, against ImageFolder + DataLoader in fp32"
            rows.append(compared(4, what, found, "img/s", 5, rate=True))
    plain = Training(epochs=1, lr=1e-3, batch_size=BATCH)
    sides = {OURS: partial(ours, images, labels, 1, plain), OTHER: partial(bare, images, labels, 1)}
    rows.append(compared(5, "the fit loop against a bare loop", alternate(sides, runs), "img/s", 0.97, rate=True))
    return rows


if __name__ == "__main__":
    measure(compare, __doc__)

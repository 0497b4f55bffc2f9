"""GPU: training `cnn` on a graphics card, and several trials on one card. Rows say "not measured here" without one.

    python -m benchmarks.gpu [--runs 5]

80,000 generated pictures on the card; time by CUDA events around whole epochs, in which nothing waits for the host.
"""

import statistics
from functools import partial

import torch
import torch.multiprocessing as processes

from benchmarks.pairs import RUNS, Row, measure, shown
from cifake_ray.experiment import Training
from cifake_ray.models.families.cnn import Cnn, normalise_images
from cifake_ray.training.batches import ImageInputs, TrainingSet
from cifake_ray.training.fit import Fit, train_epoch

IMAGES, BATCH, GOAL, SHARING, LIMIT = 80_000, 512, 150_000, 4, 300.0
TRAINING = Training(epochs=1, lr=1e-3, batch_size=BATCH, augment=("flip",))


def trained(epochs: int = 3, start: "processes.Barrier | None" = None) -> float:
    """Images a second of `epochs` epochs, after one to warm up; `start`: where those that share a card wait."""
    generator = torch.Generator(device="cuda").manual_seed(0)
    images = torch.randint(0, 256, (IMAGES, 32, 32, 3), generator=generator, dtype=torch.uint8, device="cuda")
    labels = (torch.arange(IMAGES, device="cuda") % 2).float()
    rows = torch.arange(IMAGES, device="cuda")
    torch.manual_seed(0)
    network = Cnn(32, 64).cuda().to(memory_format=torch.channels_last)
    work = Fit(network, TrainingSet(ImageInputs(images), labels, rows, rows[:BATCH], normalise_images), TRAINING)
    train_epoch(work, network, 1)
    if start is not None:
        start.wait()
    before, after = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    before.record()
    for epoch in range(epochs):
        train_epoch(work, network, 2 + epoch)
    after.record()
    after.synchronize()
    return epochs * (IMAGES // BATCH * BATCH) / (before.elapsed_time(after) / 1000)


def _share(start: "processes.Barrier", found: "processes.Queue[float]") -> None:
    found.put(trained(start=start))


def shared() -> float:
    """Images a second of all of SHARING processes on one card together."""
    context = processes.get_context("spawn")
    start, found = context.Barrier(SHARING, timeout=LIMIT), context.Queue()
    workers = [context.Process(target=_share, args=(start, found)) for _ in range(SHARING)]
    for worker in workers:
        worker.start()
    rates = [found.get(timeout=LIMIT) for _ in workers]  # a worker may lack the memory
    for worker in workers:
        worker.join()
    return sum(rates)


def compare(runs: int = RUNS) -> list[Row]:
    sides = (
        ("`cnn` training on a card", trained, f"{GOAL:,} img/s", GOAL),
        (f"{SHARING} trials on one card, together", partial(shared), "more than one", 0),
    )
    if not torch.cuda.is_available():
        return [Row("GPU", what, "", "", "", goal, None) for what, _, goal, _ in sides]
    what, one, goal, least = sides[0]
    alone = [one() for _ in range(runs)]
    middle = statistics.median(alone)
    together = [shared() for _ in range(runs)]
    ratio = statistics.median(together) / middle
    name = torch.cuda.get_device_name()
    return [
        Row("GPU", f"{what} ({name})", shown(alone, "img/s"), "", "", goal, middle >= least),
        Row("GPU", sides[1][0], shown(together, "img/s"), shown(alone, "img/s"), f"{ratio:.2f}", sides[1][2],
            ratio > 1),
    ]  # fmt: skip


if __name__ == "__main__":
    measure(compare, __doc__)

"""Run shards of an extraction, in this process or as Ray tasks; results come in order of completion."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from cifake_ray.data.decoding.items import Item
from cifake_ray.data.pixels import EncodedPixels, Pixels
from cifake_ray.data.transform import Transform
from cifake_ray.errors import WorkError
from cifake_ray.features.decoding import decoding, encoded
from cifake_ray.machine import cores
from cifake_ray.models.backbone import FrozenBackbone
from cifake_ray.models.passes import FeatureSpec
from cifake_ray.patience import Patience
from cifake_ray.training.extract import Squares, extract_shard

Shard = np.ndarray | Sequence[Item]
GPU_DECODERS = 6  # threads that decode for one task on a GPU
GPU_SLICE = 0.5  # of a GPU for one task: transfers of one task overlap with computing of another
_GO_ON = "run the command again once the cluster has room; what was extracted is kept"
_LOOK_SECONDS = 5.0  # between two checks of progress
_LEAVING_SECONDS = 3.0
_QUEUED = 2  # tasks submitted for each that can run: the next one waits on its node already


@dataclass(frozen=True)
class Pass:
    """The columns to compute by one backbone. Picklable: workers on other nodes need no weight file.

    `transform`: applied when a packed picture is decoded; None for pictures that are held decoded.
    """

    spec: FeatureSpec
    backbone: FrozenBackbone
    columns: tuple[str, ...]
    transform: Transform | None = None


@dataclass(frozen=True)
class Extraction:
    """The work on every shard: all passes; each packed picture is decoded once for all."""

    passes: tuple[Pass, ...]

    @property
    def transforms(self) -> list[Transform]:
        """The transforms under which packed pictures are decoded."""
        return list(dict.fromkeys(one.transform for one in self.passes if one.transform is not None))


@dataclass(frozen=True)
class ShardResult:
    """For each pass float16 [rows, n] by `stage.statistic`, for the pictures from row `start` on; CPU seconds."""

    start: int
    passes: list[dict[str, np.ndarray]]
    cpu_seconds: float


class RunShards(Protocol):
    """Extract the given shards, each a (start, stop) of rows of `pixels`, and yield their results in any order."""

    def __call__(
        self, pixels: Pixels, shards: Sequence[tuple[int, int]], extraction: Extraction
    ) -> Iterator[ShardResult]: ...


def run_one(pictures: Shard, start: int, extraction: Extraction, device: str) -> ShardResult:
    """Extract one shard in the calling thread; packed pictures are decoded in further threads."""
    began = time.thread_time()
    if isinstance(pictures, np.ndarray):
        found = [_columns(pictures, start, one, device) for one in extraction.passes]
        return ShardResult(start, found, time.thread_time() - began)
    with decoding(pictures, extraction.transforms, _decoders(device)) as decoded:
        found = [
            _columns(decoded.squares[one.transform], start, one, device) for one in extraction.passes if one.transform
        ]
        return ShardResult(start, found, time.thread_time() - began + decoded.cpu_seconds)


def _columns(images: Squares, start: int, one: Pass, device: str) -> dict[str, np.ndarray]:
    return extract_shard(images, one.backbone, one.spec, one.columns, first=start, device=device)


def _decoders(device: str) -> int:
    """Threads that decode for one shard: one for a network on a core, several for a GPU, which is faster."""
    return 1 if device == "cpu" else min(GPU_DECODERS, cores())


def shard_of(pixels: Pixels, start: int, stop: int, *, sent: bool) -> Shard:
    """The pictures of a shard: squares, or encoded ones; `sent`: with their bytes, for a node that has no file."""
    if isinstance(pixels, EncodedPixels):
        items = pixels.items(slice(start, stop))
        return [encoded(item) for item in items] if sent else items
    squares = pixels.batch(slice(start, stop))
    return np.array(squares) if sent else squares


def local_shards(pixels: Pixels, shards: Sequence[tuple[int, int]], extraction: Extraction) -> Iterator[ShardResult]:
    """Run the shards in this process: on the GPU if there is one, else one thread a core, each with one torch thread.

    Threads of one are as fast as one thread of two on a quiet machine (64 px, layer2, two cores: 364 against 328
    images/s) and hold out on a busy one (338 against 68), where the cores of an operator wait for each other.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()  # OMP_NUM_THREADS, or the cores
    on_gpu = 2 if extraction.transforms else 1  # two shards: one is decoded while the other is on the GPU
    workers = on_gpu if device == "cuda" else threads
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    futures = [pool.submit(_run_here, pixels, start, stop, extraction, device) for start, stop in shards]
    try:
        with _quiet():
            for done in as_completed(futures):
                yield done.result()
                futures.remove(done)  # frees the result
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the threads set the default of every later one


def _run_here(pixels: Pixels, start: int, stop: int, extraction: Extraction, device: str) -> ShardResult:
    return run_one(shard_of(pixels, start, stop, sent=False), start, extraction, device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Pillow's warnings, whose reasons were counted when the pictures were packed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="PIL")
        yield


def ray_shards(
    pixels: Pixels,
    shards: Sequence[tuple[int, int]],
    extraction: Extraction,
    wait_s: float = 3600.0,
    check: Callable[[], None] = lambda: None,
) -> Iterator[ShardResult]:
    """Run the shards as Ray tasks on whatever is free: half a GPU each, and one CPU each where CPUs are left.

    The caller has called `ray.init`. `check` is called every few seconds; an error raised there ends the work.
    Raises WorkError when a task fails for good, or none ends for `wait_s` seconds.
    """
    import ray

    decoders = GPU_DECODERS if extraction.transforms else 0
    most = _tasks_at_once(ray.cluster_resources() | {"GPU": _free_gpus()}, decoders)
    task = ray.remote(_run_task)
    shared = ray.put(extraction)
    waiting = list(reversed(shards))
    running: dict[Any, str] = {}  # the task -> its device
    patience = Patience(lambda: f"features of {len(waiting) + len(running)} shards: {free_resources()}", wait_s, _GO_ON)
    try:
        while waiting or running:
            check()
            for device, count in most.items():
                while waiting and sum(on == device for on in running.values()) < count:
                    start, stop = waiting.pop()
                    placed = task.options(
                        name="extract_features", num_cpus=1, num_gpus=GPU_SLICE if device == "cuda" else 0
                    )
                    running[placed.remote(shard_of(pixels, start, stop, sent=True), start, shared, device)] = device
            done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_SECONDS)
            if not done:
                patience.look()
                continue
            patience.moved()
            del running[done[0]]
            yield _result(done[0])
    finally:
        for reference in running:
            ray.cancel(reference)


def _free_gpus() -> float:
    """GPUs that no job holds: a task would wait for another job's GPU while CPUs stand idle.

    Tasks of the previous pass may take a moment to release their GPUs.
    """
    import ray

    deadline = time.monotonic() + _LEAVING_SECONDS
    while True:
        free, there = (found().get("GPU", 0.0) for found in (ray.available_resources, ray.cluster_resources))
        if free >= there or time.monotonic() > deadline:
            return float(free)
        time.sleep(0.1)


def _tasks_at_once(resources: Mapping[str, float], decoders: int = 0) -> dict[str, int]:
    """How many tasks to keep submitted by device; beside a GPU no task queues for the slower CPUs.

    decoders: CPUs that are reserved to decode for one task on a GPU.
    """
    on_gpu = int(resources.get("GPU", 0.0) / GPU_SLICE)
    left = int(resources.get("CPU", 1.0)) - on_gpu * max(decoders, 1)
    if not on_gpu:
        return {"cpu": max(left, 1) * _QUEUED}
    return {"cuda": on_gpu * _QUEUED, "cpu": max(left, 0)}


def free_resources() -> str:
    """`of 4 CPUs and 1 GPUs in the cluster 0 and 1 are free`."""
    import ray

    there, free = ray.cluster_resources(), ray.available_resources()
    counts = [f"{found.get(kind, 0.0):.3g}" for found in (there, free) for kind in ("CPU", "GPU")]
    return "of {} CPUs and {} GPUs in the cluster {} and {} are free".format(*counts)


def _run_task(pictures: Shard, start: int, extraction: Extraction, device: str) -> ShardResult:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))  # Ray sets it to the task's CPUs
    with _quiet():
        return run_one(pictures, start, extraction, device)


def _result(reference: Any) -> ShardResult:
    import ray

    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise WorkError(f"feature extraction failed on a worker: {error.cause}") from error
    except ray.exceptions.RayError as error:
        raise WorkError(f"feature extraction lost a worker: {str(error).splitlines()[0]}") from error
    return result

"""Running shards of an extraction: in this process, or as Ray tasks. Both return results as they are done."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from cifake_ray.errors import WorkError
from cifake_ray.models.backbone import Backbone
from cifake_ray.training.extract import extract_shard

GPU_SLICE = 0.5  # of a GPU for one task: two overlap one's transfers with the other's computing
_QUEUED = 2  # tasks submitted for each that can run: the next one waits on its node already


@dataclass(frozen=True)
class Extraction:
    """What is done to every shard. Picklable: workers on other nodes need no weight file."""

    backbone: Backbone
    image_size: int
    view: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class ShardResult:
    """Features of the images from row `start` on, float16 [rows, n] of each `stage.statistic`, and their CPU time."""

    start: int
    columns: dict[str, np.ndarray]
    cpu_seconds: float


class RunShards(Protocol):
    """Extracts the given shards, each a (start, stop) of rows of `images`, and yields their results in any order."""

    def __call__(
        self, images: np.ndarray, shards: Sequence[tuple[int, int]], extraction: Extraction
    ) -> Iterator[ShardResult]: ...


def run_one(images: np.ndarray, start: int, extraction: Extraction, device: str) -> ShardResult:
    """Extract one shard in the calling thread."""
    began = time.thread_time()
    columns = extract_shard(
        images,
        extraction.backbone,
        image_size=extraction.image_size,
        columns=extraction.columns,
        view=extraction.view,
        device=device,
    )
    return ShardResult(start, columns, time.thread_time() - began)


def local_shards(
    images: np.ndarray, shards: Sequence[tuple[int, int]], extraction: Extraction
) -> Iterator[ShardResult]:
    """Run the shards in this process: on the GPU if there is one, else one thread a core, each with one torch thread.

    Threads of one are as fast as one thread of two on a quiet machine (64 px, layer2, two cores: 364 against 328
    images/s) and hold out on a busy one (338 against 68), where the cores of an operator wait for each other.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    threads = torch.get_num_threads()  # OMP_NUM_THREADS, or the cores
    pool = ThreadPoolExecutor(1 if device == "cuda" else threads, initializer=torch.set_num_threads, initargs=(1,))
    futures = [pool.submit(run_one, images[start:stop], start, extraction, device) for start, stop in shards]
    try:
        for done in as_completed(futures):
            yield done.result()
            futures.remove(done)  # frees its result
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # the threads set the default of every later one


def ray_shards(images: np.ndarray, shards: Sequence[tuple[int, int]], extraction: Extraction) -> Iterator[ShardResult]:
    """Run the shards as Ray tasks, one CPU each, or half a GPU where the cluster has one; two waiting for each running.

    The caller has called `ray.init`. Raises WorkError when a task fails for good.
    """
    import ray

    resources: dict[str, float] = ray.cluster_resources()
    gpu = resources.get("GPU", 0) > 0
    slots = int(resources["GPU"] / GPU_SLICE) if gpu else int(resources.get("CPU", 1))
    task = ray.remote(_run_task).options(name="extract_features", num_cpus=1, num_gpus=GPU_SLICE if gpu else 0)
    shared = ray.put(extraction)
    waiting = list(reversed(shards))
    running: list[Any] = []
    try:
        while waiting or running:
            while waiting and len(running) < max(slots, 1) * _QUEUED:
                start, stop = waiting.pop()
                running.append(task.remote(np.array(images[start:stop]), start, shared, "cuda" if gpu else "cpu"))
            done, running = ray.wait(running, num_returns=1)
            yield _result(done[0])
    finally:
        for reference in running:
            ray.cancel(reference)


def _run_task(images: np.ndarray, start: int, extraction: Extraction, device: str) -> ShardResult:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))  # Ray sets it to the task's CPUs
    return run_one(images, start, extraction, device)


def _result(reference: Any) -> ShardResult:
    import ray

    try:
        result: ShardResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise WorkError(f"feature extraction failed on a worker: {error.cause}") from error
    except ray.exceptions.RayError as error:
        raise WorkError(f"feature extraction lost a worker: {str(error).splitlines()[0]}") from error
    return result

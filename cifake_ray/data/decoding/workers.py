"""Decoding over all cores, in processes of their own.

Processes, because a 32x32 JPEG is too small for threads: Pillow takes the interpreter lock around every step, and two
threads were slower than one (0.90 s against 0.74 s for 5,000 images). Plain child processes that talk over pipes, not
multiprocessing: fork is unsafe beside threads, and spawn imports the caller's main module again, which hangs a script
without a `__main__` guard on the cache lock that its parent holds.
"""

import os
import pickle
import queue
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cifake_ray.data.decoding.decode import PIXELS, SIZE, Item, decode_batch
from cifake_ray.data.table import DIGEST, Facts
from cifake_ray.errors import WorkError
from cifake_ray.machine import cores

Progress = Callable[[int, int], None]
Items = Sequence[Item]
T = TypeVar("T")
BATCH = 512  # images a process is handed at a time: about 60 ms of work, 1.5 MB of answer
_ALONE = 2 * BATCH  # below this, starting processes takes longer than decoding here


@dataclass(frozen=True)
class Decoded:
    """`images`: uint8 [n, 32, 32, 3] in the order given, zeros where skipped. `skipped`: position -> reason."""

    images: np.ndarray
    facts: Facts
    skipped: dict[int, str]
    converted: dict[str, int]


def decode_all(items: Items, progress: Progress | None = None) -> Decoded:
    """Decode encoded pictures. `progress` is called here, in the caller's thread.

    Raises WorkError when a decoding process dies.
    """
    images = np.empty((len(items), PIXELS), np.uint8)
    digests = np.empty((len(items), DIGEST), np.uint8)
    sizes = np.empty((len(items), 2), np.int32)
    formats = np.empty(len(items), "U8")  # the longest name is JPEG2000
    skipped: dict[int, str] = {}
    converted: Counter[str] = Counter()
    done = 0
    with closing(in_batches(decode_batch, items)) as batches:  # so that the processes end at once if `progress` raises
        for start, batch in batches:
            rows = slice(start, start + len(batch.sizes))
            images[rows] = np.frombuffer(batch.pixels, np.uint8).reshape(-1, PIXELS)
            digests[rows] = np.frombuffer(batch.digests, np.uint8).reshape(-1, DIGEST)
            sizes[rows], formats[rows] = batch.sizes, batch.formats
            skipped.update({start + position: reason for position, reason in batch.skipped.items()})
            converted.update(batch.converted)
            done += len(batch.sizes)
            if progress:
                progress(done, len(items))
    facts = Facts(digests.view(f"S{DIGEST}").ravel(), sizes, formats)
    counted = dict(sorted(converted.items()))
    return Decoded(images.reshape(-1, SIZE, SIZE, 3), facts, dict(sorted(skipped.items())), counted)


def in_batches(work: Callable[[Items], T], items: Items) -> Generator[tuple[int, T], None, None]:
    """(position of the first item, what `work`, a module's function, made of a batch), as they get ready, all cores.

    Raises WorkError when a decoding process dies.
    """
    starts = range(0, len(items), BATCH)
    processes = min(cores(), len(starts))
    if processes < 2 or len(items) < _ALONE or not sys.executable:
        yield from ((start, work(items[start : start + BATCH])) for start in starts)
        return
    with _decoders(processes) as idle, ThreadPoolExecutor(processes) as threads:
        futures = {threads.submit(_work_in, idle, work, items[start : start + BATCH]): start for start in starts}
        try:
            for future in as_completed(list(futures)):
                yield futures.pop(future), future.result()
        finally:
            _cancel(futures)


def _cancel(futures: dict[Future[T], int]) -> None:
    for future in futures:
        future.cancel()


Process = subprocess.Popen[bytes]


@contextmanager
def _decoders(count: int) -> Iterator["queue.SimpleQueue[Process]"]:
    """Start `count` decoding processes; stop them at the end, however it comes."""
    start = f"import sys; sys.path[:] = {sys.path!r}; from cifake_ray.data.decoding.workers import serve; serve()"
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }  # or each opens a pool it never uses
    idle: queue.SimpleQueue[Process] = queue.SimpleQueue()
    started: list[Process] = []
    try:
        for _ in range(count):
            command = [sys.executable, "-W", "ignore", "-c", start]
            process = subprocess.Popen(  # in a group apart: a signal to ours would find it among its imports
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
            )
            started.append(process)
            idle.put(process)
        yield idle
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _work_in(idle: "queue.SimpleQueue[Process]", work: Callable[[Items], T], items: Items) -> T:
    """Have the next idle process do `work` on `items`. Raises WorkError when it dies over them."""
    process = idle.get()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((work, items), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        result: T = pickle.load(process.stdout)
        return result
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise WorkError(
            f"decoding images: a process ended early (exit code {process.poll()}); free some memory and try again"
        ) from error
    finally:
        idle.put(process)


def serve() -> None:
    """What a decoding process runs: batches in on stdin, what was made of them out on stdout, until stdin closes."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            work, items = pickle.load(requests)
        except EOFError:
            return
        try:
            pickle.dump(work(items), answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # the parent was killed
            os._exit(1)

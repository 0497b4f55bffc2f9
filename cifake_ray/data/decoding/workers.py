"""Decoding over all cores, in processes of their own.

Processes, because a 32x32 JPEG is too small for threads: Pillow takes the interpreter lock around every step, and two
threads were slower than one (0.90 s against 0.74 s for 5,000 images). Plain child processes that talk over pipes, not
multiprocessing: fork is unsafe beside threads, and spawn imports the caller's main module again, which hangs a script
without a `__main__` guard on the cache lock that its parent holds.
"""

import itertools
import math
import os
import pickle
import queue
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.decoding.decode import Batch, Item, decode_batch, pack_batch
from cifake_ray.data.table import DIGEST, Facts
from cifake_ray.data.transform import Transform
from cifake_ray.errors import WorkError
from cifake_ray.machine import cores

Items = Sequence[Item]
T = TypeVar("T")
BATCH = 512  # images of 32 px that a process is handed at a time: about 60 ms of work, 1.5 MB of answer
_NATIVE_BATCH = 16  # pictures of any size: about as long, and a process holds one of them decoded
_ANSWER_BYTES = 1 << 24  # squares of a batch: two batches a core are in memory at once
_FEW = 2  # batches: below this, starting processes takes longer than decoding here


@dataclass(frozen=True)
class Decoded:
    """`images`: uint8 [n, s, s, 3] in the order given, zeros where skipped. `skipped`: position -> reason."""

    images: np.ndarray
    facts: Facts
    skipped: dict[int, str]
    converted: dict[str, int]


@dataclass
class Findings:
    """What decoding found of `count` pictures, filled batch by batch."""

    count: int
    skipped: dict[int, str] = field(default_factory=dict)
    converted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.digests = np.zeros((self.count, DIGEST), np.uint8)
        self.sizes = np.zeros((self.count, 2), np.int32)
        self.formats = np.zeros(self.count, "U8")  # the longest name is JPEG2000

    def add(self, start: int, batch: Batch) -> None:
        """Note the batch whose first picture is at `start`."""
        rows = slice(start, start + len(batch.sizes))
        self.digests[rows] = np.frombuffer(batch.digests, np.uint8).reshape(-1, DIGEST)
        self.sizes[rows], self.formats[rows] = batch.sizes, batch.formats
        self.skipped.update({start + position: reason for position, reason in batch.skipped.items()})
        self.converted.update(batch.converted)

    @property
    def facts(self) -> Facts:
        """The facts of every picture."""
        return Facts(self.digests.view(f"S{DIGEST}").ravel(), self.sizes, self.formats)


def decode_all(items: Items, progress: Progress | None = None, side: int = 32) -> Decoded:
    """Decode encoded pictures, resized to `side` pixels. `progress` is called here, in the caller's thread.

    Raises WorkError when a decoding process dies.
    """
    transform = Transform("resize", side)
    images = np.empty((len(items), side * side * 3), np.uint8)
    findings = Findings(len(items))
    work = partial(decode_batch, transform=transform)
    for start, batch in _told(in_batches(work, items), len(items), progress):
        images[start : start + len(batch.sizes)] = np.frombuffer(batch.pixels, np.uint8).reshape(-1, images.shape[1])
        findings.add(start, batch)
    counted = dict(sorted(findings.converted.items()))
    return Decoded(images.reshape(-1, side, side, 3), findings.facts, dict(sorted(findings.skipped.items())), counted)


def pack_all(items: Items, progress: Progress | None = None) -> Generator[tuple[int, Batch], None, None]:
    """(position of the first, encoded pictures and what decoding found of them), as they get ready."""
    return _told(in_batches(pack_batch, items, _NATIVE_BATCH), len(items), progress)


def square_all(
    items: Items, transform: Transform, progress: Progress | None = None
) -> Generator[tuple[int, Batch], None, None]:
    """(position of the first, squares of the pictures), as they get ready."""
    size = max(1, min(_NATIVE_BATCH, _ANSWER_BYTES // math.prod(transform.shape)))
    return _told(in_batches(partial(decode_batch, transform=transform), items, size), len(items), progress)


def _told(
    batches: Generator[tuple[int, Batch], None, None], total: int, progress: Progress | None
) -> Generator[tuple[int, Batch], None, None]:
    """The batches; the processes behind them end at once when `progress` raises."""
    done = 0
    with closing(batches):
        for start, batch in batches:
            yield start, batch
            done += len(batch.sizes)
            if progress:
                progress(done, total)


def in_batches(work: Callable[[Items], T], items: Items, size: int = BATCH) -> Generator[tuple[int, T], None, None]:
    """(position of the first item, what `work`, a module's function, made of a batch), as they get ready, all cores.

    Raises WorkError when a decoding process dies.
    """
    starts = range(0, len(items), size)
    processes = min(cores(), len(starts))
    if processes < 2 or len(starts) <= _FEW or not sys.executable:
        yield from ((start, work(items[start : start + size])) for start in starts)
        return
    with _decoders(processes) as idle, ThreadPoolExecutor(processes) as threads:
        waiting = iter(starts)
        futures: dict[Future[T], int] = {}
        try:
            while True:
                for start in itertools.islice(waiting, 2 * processes - len(futures)):  # what is ready waits in memory
                    futures[threads.submit(_work_in, idle, work, items[start : start + size])] = start
                if not futures:
                    return
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in done:
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

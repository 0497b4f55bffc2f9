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
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from cifake_ray.console import Progress
from cifake_ray.data.decoding.batches import Batch, Place, Valid, decode_batch, pack_batch, square_batch
from cifake_ray.data.decoding.cells import Cell, read_in_order
from cifake_ray.data.decoding.items import Item, Refused
from cifake_ray.data.facts import DIGEST, Facts
from cifake_ray.data.neutral import NeutralEncoding
from cifake_ray.data.transform import Transform
from cifake_ray.errors import WorkError
from cifake_ray.machine import cores

Items = Sequence[Item]
S = TypeVar("S")
T = TypeVar("T")
BATCH = 512  # images of 32 px sent to a process at a time: about 60 ms of work, 1.5 MB of answer
_NATIVE_BATCH = 16  # pictures of any size: about as long, and a process holds one of them decoded
_MOST_BYTES = 1 << 23  # of a batch of pictures that are read here and sent
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
    """Findings of decoding `count` pictures, filled batch by batch."""

    count: int
    skipped: dict[int, str] = field(default_factory=dict)
    converted: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.digests = np.zeros((self.count, DIGEST), np.uint8)
        self.sizes = np.zeros((self.count, 2), np.int32)
        self.formats = np.zeros(self.count, "U8")  # the longest name is JPEG2000

    def add(self, rows: np.ndarray, batch: Batch) -> None:
        """Record the batch of the pictures at these positions."""
        self.digests[rows] = np.frombuffer(batch.digests, np.uint8).reshape(-1, DIGEST)
        self.sizes[rows], self.formats[rows] = batch.sizes, batch.formats
        self.skipped.update({int(rows[position]): reason for position, reason in batch.skipped.items()})
        self.converted.update(batch.converted)

    @property
    def facts(self) -> Facts:
        """The facts of every picture."""
        return Facts(self.digests.view(f"S{DIGEST}").ravel(), self.sizes, self.formats)


def decode_all(
    items: Items, progress: Progress | None = None, side: int = 32, neutral: NeutralEncoding | None = None
) -> Decoded:
    """Decode encoded pictures, re-encoded by `neutral` if given, and resized to `side` pixels.

    `progress` is called in the caller's thread.

    Raises WorkError when a decoding process dies.
    """
    transform = Transform("resize", side, neutral=neutral)
    images = np.empty((len(items), side * side * 3), np.uint8)
    findings = Findings(len(items))
    work = partial(decode_batch, transform=transform, digest=True)
    for rows, batch in _told(in_batches(work, items), len(items), progress):
        images[_range(rows)] = np.frombuffer(batch.pixels, np.uint8).reshape(-1, images.shape[1])
        findings.add(rows, batch)
    counted = dict(sorted(findings.converted.items()))
    return Decoded(images.reshape(-1, side, side, 3), findings.facts, dict(sorted(findings.skipped.items())), counted)


def _range(rows: np.ndarray) -> slice | np.ndarray:
    """Positions in a row as a slice, by which numpy copies without an index."""
    whole = bool((np.diff(rows) == 1).all())
    return slice(int(rows[0]), int(rows[-1]) + 1) if whole else rows


Batches = Generator[tuple[np.ndarray, Batch], None, None]


def pack_all(items: Items, progress: Progress | None = None, neutral: NeutralEncoding | None = None) -> Batches:
    """(positions, encoded pictures and their findings), in order of completion."""
    return _told(in_batches(partial(pack_batch, neutral=neutral), items, _NATIVE_BATCH), len(items), progress)


def square_all(items: Items, transform: Transform, progress: Progress | None = None) -> Batches:
    """(positions, squares of the pictures), in order of completion."""
    size = max(1, min(_NATIVE_BATCH, _ANSWER_BYTES // math.prod(transform.shape)))
    return _told(in_batches(partial(decode_batch, transform=transform), items, size), len(items), progress)


def thumbnails(items: Items, progress: Progress | None = None) -> np.ndarray:
    """Pictures of any size as squares of 32 px: uint8 [n, 32, 32, 3], zeros for an unreadable picture."""
    transform = Transform("resize", 32, reduced=True)
    found = np.empty((len(items), *transform.shape), np.uint8)
    for rows, batch in square_all(items, transform, progress):
        found[rows] = np.frombuffer(batch.pixels, np.uint8).reshape(-1, *transform.shape)
    return found


def write_squares(
    items: Items, transform: Transform, file: str, start: int, progress: Progress | None = None
) -> Generator[tuple[np.ndarray, list[Valid | None]], None, None]:
    """Write the squares of the pictures into `file` from byte `start` on, row by row, without a copy through a pipe.

    Yields (positions, `Squares.valid` of these pictures) in order of completion; None for an unreadable picture.
    Raises OSError when the disk is full.
    """
    places = [Place(row, item) for row, item in enumerate(items)]
    work = partial(square_batch, transform=transform, file=file, start=start)
    done = 0
    with closing(in_batches(work, places, _NATIVE_BATCH)) as batches:
        for rows, valid in batches:
            yield rows, valid
            done += len(valid)
            if progress:
                progress(done, len(items))


def _told(batches: Batches, total: int, progress: Progress | None) -> Batches:
    """The batches; the processes behind them end at once when `progress` raises."""
    done = 0
    with closing(batches):
        for rows, batch in batches:
            yield rows, batch
            done += len(batch.sizes)
            if progress:
                progress(done, total)


def in_batches(
    work: Callable[[Sequence[S]], T], items: Sequence[S], size: int = BATCH
) -> Generator[tuple[np.ndarray, T], None, None]:
    """(positions int64 [m], result of `work`, a module's function, on these items), in order of completion, all cores.

    Pictures in tables come in order of storage, all others in the order given, m of them in a row. Raises WorkError
    when a decoding process dies.
    """
    count = -(-len(items) // size)
    processes = min(cores(), count)
    if processes < 2 or count <= _FEW or not sys.executable:
        yield from ((rows, work(some)) for rows, some in _handed(items, size))
        return
    with _decoders(processes) as idle, ThreadPoolExecutor(processes) as threads:
        waiting = _handed(items, size)
        futures: dict[Future[T], np.ndarray] = {}
        try:
            while True:
                for rows, some in itertools.islice(waiting, 2 * processes - len(futures)):  # these wait in memory
                    futures[threads.submit(_work_in, idle, work, some)] = rows
                if not futures:
                    return
                done, _ = wait(futures, return_when=FIRST_COMPLETED)
                for future in done:
                    yield futures.pop(future), future.result()
        finally:
            _cancel(futures)


def _handed(items: Sequence[Any], size: int) -> Iterator[tuple[np.ndarray, Sequence[Any]]]:
    """Positions and items of each batch. Pictures in tables are read in this process, each row group once."""
    if not items or not isinstance(items[0], Cell):
        for start in range(0, len(items), size):
            yield np.arange(start, min(start + size, len(items))), items[start : start + size]
        return
    rows, some, held = list[int](), list[Item](), 0
    order = in_storage_order(items)
    for row, item in zip(order, read_in_order([items[row] for row in order]), strict=True):
        rows.append(row)
        some.append(Refused(item) if isinstance(item, str) else item)
        held += len(item)
        if len(rows) == size or held >= _MOST_BYTES:
            yield np.array(rows), some
            rows, some, held = [], [], 0
    if rows:
        yield np.array(rows), some


def in_storage_order(items: Items) -> list[int]:
    """Positions of pictures in tables by file, row group and row."""
    return sorted(range(len(items)), key=items.__getitem__)


def _cancel(futures: Iterable[Future[T]]) -> None:
    for future in futures:
        future.cancel()


Process = subprocess.Popen[bytes]


@contextmanager
def _decoders(count: int) -> Iterator["queue.SimpleQueue[Process]"]:
    """Start `count` decoding processes; stop the processes at the end, after an error too."""
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
            process = subprocess.Popen(  # in a group of its own: a signal to ours would interrupt its imports
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, process_group=0
            )
            started.append(process)
            idle.put(process)
        yield idle
    finally:
        for process in started:
            process.kill()
            process.communicate()


def _work_in(idle: "queue.SimpleQueue[Process]", work: Callable[[Sequence[S]], T], items: Sequence[S]) -> T:
    """Run `work` on `items` in the next idle process. Raises WorkError when the process dies."""
    process = idle.get()
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        pickle.dump((work, items), process.stdin, protocol=pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        result: T | OSError = pickle.load(process.stdout)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        raise WorkError(
            f"decoding images: a process ended early (exit code {process.poll()}); free some memory and try again"
        ) from error
    finally:
        idle.put(process)
    if isinstance(result, OSError):
        raise result
    return result


def serve() -> None:
    """Serve as a decoding process: read batches from stdin, write results to stdout, until stdin closes."""
    requests, answers = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            work, items = pickle.load(requests)
        except EOFError:
            return
        try:
            try:
                made = work(items)
            except OSError as error:  # of the disk that `work` writes to
                made = OSError(*error.args)
            pickle.dump(made, answers, protocol=pickle.HIGHEST_PROTOCOL)
            answers.flush()
        except BrokenPipeError:  # the parent was killed
            os._exit(1)

"""Memory that tensors give back is kept for the next step, not for the next trial."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="it is about glibc's allocator, which this system has not"
)
PROGRAM = """
import resource, threading, torch
from pathlib import Path
from cifake_ray.training.memory import keep_freed_memory

def in_a_thread(function):  # as a trial runs
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)  # 40 MB, 10,000 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def measure():
    before = faults()
    keep_freed_memory()
    faults()
    print(before, faults())

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

def trial():
    keep_freed_memory()
    for tensor in [torch.ones(5_000_000) for _ in range(5)]:  # 100 MB, live at once
        tensor.add_(1)
    sizes.append(resident())
"""


def run(program: str) -> list[int]:
    return [int(word) for word in subprocess.check_output([sys.executable, "-c", PROGRAM + program], text=True).split()]


def test_a_step_reuses_the_pages_of_the_one_before() -> None:
    before, after = run("in_a_thread(measure)")
    assert after < before / 10


def test_the_memory_of_a_process_stays_flat_as_trials_go_by() -> None:
    sizes = run("sizes = []\nfor _ in range(30): in_a_thread(trial)\nprint(*sizes)")
    assert sizes[-1] < sizes[1] + 150_000_000  # 330 MB more when nothing is handed back

"""Memory that tensors give back is kept for the next step."""

import subprocess
import sys

PROGRAM = """
import resource, sys, threading, torch
from cifake_ray.training.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(10):
        torch.ones(10_000_000)  # 40 MB, 10,000 pages
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def main():
    first = faults()
    keep_freed_memory()
    faults()
    print(first, faults())

thread = threading.Thread(target=main)  # a trial runs in a thread of its process
thread.start()
thread.join()
"""


def test_a_step_reuses_the_pages_of_the_one_before() -> None:
    before, after = map(int, subprocess.check_output([sys.executable, "-c", PROGRAM], text=True).split())
    if sys.platform == "linux":
        assert after < before / 10

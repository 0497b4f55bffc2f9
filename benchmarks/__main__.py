"""Every comparison in one go, on whatever the machine has; the table goes to benchmarks/results.md.

    python -m benchmarks [--runs 5] [--only decoding studies …]

Run it on a machine that does nothing else: two sides are measured alternately, and still share what disturbs them. Each
is a process of its own with an empty cache, and sees a GPU only where that is what is measured. With --only nothing is
written.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime

from benchmarks.pairs import HEADER, ROOT, RUNS, machine

RESULTS = ROOT / "benchmarks" / "results.md"
COMPARISONS = ("trials", "studies", "frozen", "fit_loop", "decoding", "decoding_native", "native_accuracy",
               "extraction", "native_extraction", "bookkeeping", "reports", "start", "memory", "memory_native", "table",
               "verdicts", "gpu")  # fmt: skip
WITHOUT_RUNS = ("memory", "memory_native", "native_accuracy", "table", "verdicts")  # nothing repeated, or more often


def rows_of(name: str, runs: int) -> Iterator[str]:
    """The lines of one comparison's table as they come."""
    command = [
        sys.executable,
        "-m",
        f"benchmarks.{name}",
        *([] if name in WITHOUT_RUNS else ["--runs", str(runs)]),
    ]
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"CIFAKE_RAY_CACHE": cache}
        if name != "gpu":
            environment["CUDA_VISIBLE_DEVICES"] = ""
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
            lines = (line.rstrip() for line in process.stdout or ())
            yield from (line for line in lines if line.startswith("| ") and line not in HEADER)
    if process.returncode:
        yield f"| | {name} | failed | | | | no |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="alternating runs of each comparison")
    parser.add_argument("--only", nargs="+", choices=COMPARISONS)
    options = parser.parse_args()
    lines = ["# Measured side by side", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.", ""]
    lines += [f"`make bench`: medians of {options.runs} alternating runs, least and most in brackets.", "", HEADER]
    print(HEADER, flush=True)
    for name in options.only or COMPARISONS:
        for row in rows_of(name, options.runs):
            lines.append(row)
            print(row, flush=True)
            if options.only is None:
                RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

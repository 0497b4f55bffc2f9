"""Every comparison in one go, on whatever the machine has; the table goes to benchmarks/results.md.

    python -m benchmarks [--runs 5] [--only decoding studies …]

Run it on a machine that does nothing else: two sides are measured alternately, and still share what disturbs them.
"""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime

from benchmarks import bookkeeping, decoding, extraction, fit_loop, frozen, gpu, memory, reports, start, studies, trials
from benchmarks.pairs import HEADER, ROOT, RUNS, Row, machine

COMPARISONS: dict[str, Callable[[int], list[Row]]] = {
    "overhead": trials.overhead,
    "studies": studies.compare,
    "frozen": frozen.compare,
    "fit_loop": fit_loop.compare,
    "decoding": decoding.compare,
    "extraction": extraction.compare,
    "places": trials.places,
    "bookkeeping": bookkeeping.compare,
    "reports": reports.compare,
    "start": start.compare,
    "memory": memory.compare,
    "gpu": gpu.compare,
}
RESULTS = ROOT / "benchmarks" / "results.md"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=RUNS, help="alternating runs of each comparison")
    parser.add_argument("--only", nargs="+", choices=list(COMPARISONS), default=list(COMPARISONS))
    options = parser.parse_args()
    lines = ["# Measured side by side", "", f"{datetime.now(UTC):%Y-%m-%d}, {machine()}.", ""]
    lines += [f"`make bench`: medians of {options.runs} alternating runs, least and most in brackets.", "", HEADER]
    print(HEADER, flush=True)
    for name in options.only:
        for row in COMPARISONS[name](options.runs):
            lines.append(row.line())
            print(row.line(), flush=True)
    RESULTS.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()

"""15: a table of 1,000,000 pictures: list, table, fingerprint, split, strata, duplicates.

    python -m benchmarks.table [--rows 1000000]

Generated names in GenImage's layout, five generators, digests of which some are equal. One process and no picture: what
is measured is the bookkeeping beside decoding.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.pairs import HEADER, Row
from cifake_ray.data.build import chosen_card
from cifake_ray.data.decoding.items import Member
from cifake_ray.data.facts import DIGEST, Facts
from cifake_ray.data.images import Part
from cifake_ray.data.labels import PARTS
from cifake_ray.data.pixels import EncodedPixels
from cifake_ray.data.sources.find import Encoded, encoded_parts
from cifake_ray.data.sources.folders import File, Folder
from cifake_ray.data.sources.layouts import by_layout
from cifake_ray.data.sources.parts import chosen_parts
from cifake_ray.data.sources.reading import PLAIN
from cifake_ray.data.splits import copies_among, split_train
from cifake_ray.data.table import fingerprint_v2, joined, make_table, unpacked
from cifake_ray.data.taken import taken_of

ROWS = 1_000_000
GENERATORS = ("sd14", "midjourney", "glide", "vqdm", "biggan")
SHARES = {"train": 0.9, "val": 0.1}
COPIES = 0.01  # share of the pictures that equal another one
MOST_SECONDS, MOST_MB = 60.0, 2000.0
T = TypeVar("T")


def folders(rows: int) -> Iterator[Folder]:
    """The folders of an archive of so many pictures."""
    for generator in GENERATORS:
        for part, share in SHARES.items():
            for label in ("ai", "nature"):
                names = (f"{at:06d}_{generator}.png" for at in range(round(rows * share / len(GENERATORS) / 2)))
                files = [File(name, Member("all.zip", at, 480_000, 0, at)) for at, name in enumerate(names)]
                yield Folder((generator, part, label), files)


def listed(rows: int) -> dict[str, Encoded]:
    """What a source of so many pictures lists."""
    found, _ = chosen_parts("genimage", by_layout("genimage", "genimage", folders(rows), PLAIN), PARTS, PLAIN)
    return encoded_parts(found)


def tabled(encoded: Mapping[str, Encoded]) -> dict[str, Part]:
    """The parts, as they are opened from a cache entry."""
    random, tables = np.random.default_rng(0), []
    for name, part in encoded.items():
        count = len(part.labels)
        digests = np.frombuffer(random.bytes(DIGEST * count), f"S{DIGEST}").copy()
        copy, of = random.integers(0, count, (2, round(COPIES * count)))
        digests[copy] = digests[of]
        facts = Facts(digests, np.full((count, 2), 512, np.int32), np.full(count, "PNG"))
        tables.append(make_table(name, part.labels, part.names, facts, part.groups))
    table = joined(tables)
    stream = table.with_groups(chosen_card(PLAIN, table)).packed()
    none = EncodedPixels(Path(), np.zeros((0, 2), np.int64))
    return {name: Part(unpacked(stream).of_part(name), none, "") for name in PARTS}


def measured(rows: int) -> dict[str, float]:
    """Seconds of each step, and the peak of this process's memory in MB."""
    seconds: dict[str, float] = {}

    def timed(step: str, work: Callable[[], T]) -> T:
        began = time.perf_counter()
        result = work()
        seconds[step] = time.perf_counter() - began
        return result

    encoded = timed("list", lambda: listed(rows))
    parts = timed("table", lambda: tabled(encoded))
    timed("fingerprint", lambda: [fingerprint_v2(part.table) for part in parts.values()])
    split = timed("split", lambda: split_train(parts["train"], 0.1, 0))
    sides = timed("strata", lambda: [taken_of(parts["train"].table.take(at)) for at in (split.train, split.validation)])
    copies = timed("duplicates", lambda: copies_among(parts["test"], parts["train"]))
    if len(sides) != 2 or len(copies) != len(parts["test"]) or not all(taken.groups for taken in sides[1][:1]):
        raise SystemExit("the table is not that of the pictures")
    return {**seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def compare(rows: int = ROWS) -> list[Row]:
    child = [sys.executable, "-m", "benchmarks.table", "--rows", str(rows), "--child"]
    found = json.loads(subprocess.run(child, check=True, stdout=subprocess.PIPE, text=True).stdout)
    peak, whole = found.pop("peak"), sum(found.values())
    what = f"a table of {rows:,} pictures ({', '.join(f'{step} {seconds:.1f}' for step, seconds in found.items())} s)"
    fast, small = whole < MOST_SECONDS, peak < MOST_MB
    return [
        Row(15, what, f"{whole:.1f} s", "", "", f"{MOST_SECONDS:.0f} s", fast),
        Row(15, "the same: most memory", f"{peak:,.0f} MB", "", "", f"{MOST_MB:,.0f} MB", small),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options.rows)))
        return
    print(HEADER, flush=True)
    for row in compare(options.rows):
        print(row.line(), flush=True)


if __name__ == "__main__":
    main()

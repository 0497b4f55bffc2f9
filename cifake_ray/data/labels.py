"""What the two classes and the two parts are called, in folders, archives and parquet files of other people."""

import re
from collections.abc import Sequence

from cifake_ray.errors import InputError

# As run.LABELS; a test holds the two together. Importing it would bring pydantic into every decoding process, 0.6 s.
LABELS = ("FAKE", "REAL")
PARTS = ("train", "test")
ALL = "all"  # the one part of images that nobody has split
# Words that mean one thing only. `0_real`, `1_fake` are ForenSynths' folders; `ai`, `nature` are GenImage's.
_WORDS = {
    "fake": 0, "ai": 0, "ai generated": 0, "generated": 0, "synthetic": 0,
    "real": 1, "authentic": 1, "nature": 1,
}  # fmt: skip
WORDS = "fake, ai, ai-generated, generated, synthetic; real, authentic, nature (in any case)"


def label_of(name: str) -> int | None:
    """0 for a name that says FAKE, 1 for one that says REAL, None for any other. A number before it says nothing."""
    words = re.findall(r"[a-z]+", name.casefold().removesuffix("images").removesuffix("image"))
    return _WORDS.get(" ".join(words))


def label_of_path(folders: Sequence[str], where: str) -> int | None:
    """The label that the names of nested folders give. Raises InputError when they contradict each other."""
    found = {label for folder in folders if (label := label_of(folder)) is not None}
    if len(found) > 1:
        raise InputError(f"{where}: {'/'.join(folders)} names both classes; rename one of its folders")
    return found.pop() if found else None

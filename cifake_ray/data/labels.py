"""What the two classes and the two parts are called, in folders, archives and parquet files of other people."""

import re
from collections.abc import Sequence

from cifake_ray.errors import InputError

PARTS = ("train", "test")
ALL = "all"  # the one part of images that nobody has split
VALIDATION = "validation"
_PART_WORDS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), VALIDATION),
}  # fmt: skip
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


def part_of(name: str) -> str | None:
    """train, test or validation for a folder that is called so: `Training`, `val_data`, `test-set`; None for others."""
    words = [word for word in re.split(r"[^a-z]+", name.casefold()) if word]
    words = [word.removesuffix("set") or "set" for word in words]
    named = [word for word in words if word not in ("data", "set", "images", "split")]
    return _PART_WORDS.get(named[0]) if len(named) == 1 else None


def part_in(name: str) -> str | None:
    """The part that a file name tells somewhere: `cifake-test-00000-of-00001.parquet`, `my_validation.parquet`."""
    words = re.split(r"[^a-z]+", name.casefold())
    return next((_PART_WORDS[word] for word in reversed(words) if word in _PART_WORDS), None)


def label_of_path(folders: Sequence[str], where: str) -> int | None:
    """The label that the names of nested folders give. Raises InputError when they contradict each other."""
    found = {label for folder in folders if (label := label_of(folder)) is not None}
    if len(found) > 1:
        raise InputError(f"{where}: {'/'.join(folders)} names both classes; rename one of its folders")
    return found.pop() if found else None

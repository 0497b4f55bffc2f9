"""Names of the two classes and of the parts in folders, archives, tables and manifests of other people."""

import re
from collections.abc import Sequence

PARTS = ("train", "test")
ALL = "all"  # the one part of images that are not split
VALIDATION = "validation"
_PART_WORDS = {
    "train": "train", "training": "train", "test": "test", "testing": "test",
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), VALIDATION),
}  # fmt: skip
# Words that mean one thing only. `0_real`, `1_fake` are ForenSynths' folders; `ai`, `nature` are GenImage's.
_CLEAR = {
    **dict.fromkeys(("fake", "fakes", "deepfake", "deepfakes", "ai", "aigc", "ai generated", "generated", "ai made",
                     "synthetic", "artificial"), 0),
    **dict.fromkeys(("real", "reals", "authentic", "genuine", "non ai", "not ai", "human made"), 1),
}  # fmt: skip
# Words that may also name a subject: FAKE/nature holds FAKE pictures of nature.
_SUBJECT_LIKE = dict.fromkeys(("nature", "natural", "human", "original", "originals"), 1)
_WORDS = {**_CLEAR, **_SUBJECT_LIKE}
_GLUED = {word.replace(" ", ""): word for word in _WORDS}  # `realimages`, `DeepFake`, `nonai`
# Words beside a class word that change nothing: `RealImages`, `ai_photos`, `fake_v2`, `real_train`.
_BESIDE = {
    "image", "images", "img", "imgs", "pic", "pics", "picture", "pictures", "photo", "photos", "face", "faces", "art",
    "data", "dataset", "set", "sample", "samples", "v", *_PART_WORDS,
}  # fmt: skip
WORDS = (
    "fake, deepfake, ai, aigc, ai-generated, generated, synthetic, artificial; real, authentic, genuine, non-ai, "
    "nature, natural, human, original (in any case)"
)


def label_of(name: str) -> int | None:
    """0 for a name of FAKE, 1 for a name of REAL, None for other names. A number before the name is ignored."""
    return _WORDS.get(_class_word(name))


def _class_word(name: str) -> str:
    """`AIGenerated_images` as `ai generated`."""
    words = re.findall(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+", name)
    found = " ".join(word for word in map(str.casefold, words) if word not in _BESIDE)
    letters = "".join(re.findall("[a-z]", name.casefold()))
    return found if found in _WORDS else _GLUED.get(re.sub("images?$", "", letters), found)


def part_of(name: str) -> str | None:
    """The part that a folder's name stands for (`Training`, `val_data`, `real_test`); None for other names."""
    beside = {"split", *_WORDS, *_BESIDE} - set(_PART_WORDS)
    named = [word for word in _part_words(name) if word not in beside]
    return _PART_WORDS.get(named[0]) if len(named) == 1 else None


def part_in(name: str) -> str | None:
    """The part that a file name contains: `cifake-test-00000-of-00001.parquet`, `my_validation.parquet`."""
    return next((_PART_WORDS[word] for word in reversed(_part_words(name)) if word in _PART_WORDS), None)


def _part_words(name: str) -> list[str]:
    words = [word for word in re.split(r"[^a-z]+", name.casefold()) if word]
    return [word.removesuffix("set") or "set" for word in words]


def labels_in(folders: Sequence[str]) -> set[int]:
    """The classes that the names of nested folders contain; a clear word outweighs a subject-like word."""
    words = [_class_word(folder) for folder in folders]
    return {_CLEAR[word] for word in words if word in _CLEAR} or {_WORDS[word] for word in words if word in _WORDS}

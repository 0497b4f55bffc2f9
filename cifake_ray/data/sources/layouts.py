"""Class, part and generator of files by the names of their folders, in the layouts of other people.

GenImage is `<generator>/{train,val}/{ai,nature}`, and its `val` is the published test part. ForenSynths and AIGIBench
are `test/<generator>/[class/]{0_real,1_fake}`. In both a class folder may lie at any depth.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from cifake_ray.data.labels import ALL, VALIDATION, label_of
from cifake_ray.data.sources.folders import File, Folder, Steps
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

Found = dict[tuple[str, int], list[File]]  # (part, label) -> files; empty for a folder without images
GENERATOR = "generator"
_GENIMAGE = {"ai", "nature"}
_FORENSYNTHS = re.compile(r"\d_(real|fake)", re.IGNORECASE)
# LSUN's classes, of which ProGAN has one model each; AIGIBench's train part and ForenSynths name the class alone.
_PROGAN = {
    "airplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse",
    "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
}  # fmt: skip
PUBLISHED = "GenImage's layout: its val is the published test part, and is taken as such"


@dataclass
class Listing:
    """The files below a source. `left`: unused files, and why. `said`: conclusions from the layout.

    `unnamed`: folders with files that name no class. `unused`: names of unused files. `root`: the folder above the
    parts that are taken; "" where the source itself is.
    """

    found: Found = field(default_factory=dict)
    left: list[Left] = field(default_factory=list)
    said: tuple[str, ...] = ()
    unnamed: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    root: str = ""


@dataclass(frozen=True)
class _Class:
    """A folder of one class. `at`: position of the step that names the part; None without one.

    root: the steps above the part that name no class.
    """

    folder: Folder
    label: int
    part: str
    at: int | None
    root: Steps

    @property
    def inner(self) -> Steps:
        """The steps below the part."""
        return self.folder.steps if self.at is None else self.folder.steps[self.at + 1 :]


def by_layout(source: str, name: str, folders: Iterable[Folder], reading: Reading) -> Listing:
    """Files by part and label. `name`: of the source itself. Without a train or test folder all files are part `all`.

    Raises InputError: names that contradict each other, several data sets in one.
    """
    listed = [folder for folder in folders if folder.files or folder.system or folder.steps or folder.deeper]
    classes = _classes(source, listed, reading)
    used = [one for one in classes if one.at is not None] or classes
    used, said = _published(used, reading)
    generators = _generators(source, name, used)
    listing = Listing(said=said)
    for one in used:
        _add(listing.found, one, generators.get(one.folder.steps, ""), reading)
    _leave(listing, listed, classes, used)
    return listing


def _classes(source: str, listed: Sequence[Folder], reading: Reading) -> list[_Class]:
    labelled = [(folder, reading.label(folder.steps, source)) for folder in listed]
    steps = {folder.steps for folder, _ in labelled}
    found = []
    for folder, label in labelled:
        if label is None:
            continue
        at = _part_at(folder.steps, steps, reading)
        part = ALL if at is None else reading.part(folder.steps[at])
        root = tuple(step for step in folder.steps[: at or 0] if not reading.names_class(step))
        found.append(_Class(folder, label, part or ALL, at, root))
    return found


def _part_at(steps: Steps, known: set[Steps], reading: Reading) -> int | None:
    for at, step in enumerate(steps):
        if reading.part(step) is not None and not _is_progan(steps[:at], step, known):
            return at
    return None


def _is_progan(before: Steps, step: str, known: set[Steps]) -> bool:
    """Whether a folder called train holds pictures of trains: other classes of ProGAN lie beside it."""
    return step == "train" and any((*before, other) in known for other in ("tvmonitor", "airplane", "sofa"))


def _published(classes: list[_Class], reading: Reading) -> tuple[list[_Class], tuple[str, ...]]:
    """The classes with GenImage's val as the test part, unless `data.parts` maps val."""
    parts = {one.part for one in classes}
    if reading.parts or VALIDATION not in parts or "test" in parts or not _is_genimage(classes):
        return classes, ()
    return [replace(one, part="test") if one.part == VALIDATION else one for one in classes], (PUBLISHED,)


def _is_genimage(classes: Sequence[_Class]) -> bool:
    words = {one.inner[0].casefold() if one.inner else "" for one in classes}
    return words == _GENIMAGE and all(one.at is not None for one in classes)


def _is_forensynths(classes: Sequence[_Class]) -> bool:
    return bool(classes) and all(any(_FORENSYNTHS.fullmatch(step) for step in one.inner) for one in classes)


def _generators(source: str, name: str, classes: Sequence[_Class]) -> Mapping[Steps, str]:
    """The generator of each class folder by the layout. Raises InputError: several data sets in one."""
    roots = sorted({one.root for one in classes})
    if _is_genimage(classes):
        told = dict(zip(roots, _first_that_differ(roots, name), strict=True))
        return {one.folder.steps: told[one.root] for one in classes}
    if len(roots) > 1:
        named = ", ".join("/".join(root) or "." for root in roots)
        raise InputError(
            f"{source}: several data sets in one ({named})",
            "give one of them, or list the pictures of all in a manifest.csv (path,label,part,generator)",
        )
    if not _is_forensynths(classes):
        return {}
    above = [one.inner[: next(at for at, step in enumerate(one.inner) if _FORENSYNTHS.fullmatch(step))]
             for one in classes]  # fmt: skip
    if all(one.at is None for one in classes):
        shared = _shared(above)
        above = [steps[shared:] for steps in above]
    return {one.folder.steps: _of_progan(steps[0]) if steps else "" for one, steps in zip(classes, above, strict=True)}


def _of_progan(step: str) -> str:
    return "progan" if step.casefold() in _PROGAN else step


def _first_that_differ(roots: Sequence[Steps], name: str) -> list[str]:
    """The first step of each root that not all share: `Midjourney` of data/Midjourney/imagenet_midjourney."""
    if len(roots) == 1:
        steps = [step for step in roots[0] if not step.casefold().startswith("imagenet")]
        return [steps[0] if steps else name]
    shared = _shared(roots)
    return [root[shared] if len(root) > shared else name for root in roots]


def _shared(paths: Sequence[Steps]) -> int:
    """How many first steps all of these paths share."""
    shared = 0
    while all(len(path) > shared and path[shared] == paths[0][shared] for path in paths):
        shared += 1
    return shared


def _add(found: Found, one: _Class, generator: str, reading: Reading) -> None:
    named = "" if one.label else generator or _named_by_class(one, reading)
    steps = (generator, *one.inner) if one.root and generator else one.inner
    prefix = "".join(f"{step}/" for step in steps if not reading.names_class(step))
    groups = ((GENERATOR, named),) if named else ()
    files = [file._replace(name=prefix + file.name, groups=groups) for file in one.folder.files]
    found.setdefault((one.part, one.label), []).extend(files)


def _named_by_class(one: _Class, reading: Reading) -> str:
    """`sdxl` for a folder of this name, if only `data.labels` makes the name a word for FAKE; else ""."""
    own = (step for step in one.folder.steps if reading.own_label(step) == 0 and label_of(step) is None)
    return next(own, "")


def _leave(listing: Listing, listed: Sequence[Folder], classes: Sequence[_Class], used: Sequence[_Class]) -> None:
    taken, labelled = {one.folder.steps for one in used}, {one.folder.steps for one in classes}
    others = [f"{'/'.join(one.folder.steps)}/{name}" for one in classes if one.folder.steps not in taken
              for name, *_ in one.folder.files]  # fmt: skip
    foreign = [folder for folder in listed if folder.steps not in labelled]
    names = ["/".join((*folder.steps, name)) for folder in foreign for name, *_ in folder.files]
    listing.unnamed = ["/".join(folder.steps) for folder in foreign if folder.files and folder.steps]
    listing.unused = [*others, *names]
    roots = {one.root for one in used}
    listing.root = "/".join(next(iter(roots))) if len(roots) == 1 else ""
    listing.left += left_for("files of class folders outside train and test", others)
    listing.left += left_for("files in no folder that names a class", names)
    listing.left += left_for("files that systems leave", (name for folder in listed for name in folder.system))
    listing.left += left_for("folders too deep to be listed", (name for folder in listed for name in folder.deeper))

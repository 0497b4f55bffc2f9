"""What lies under a source beside the pictures taken: other labelled sets, named one by one, and single files.

A folder that holds several sets is read as one of them, by the order in `find.py`; the others must not go unsaid.
"""

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from cifake_ray.data.sources.archives import is_archive
from cifake_ray.data.sources.folders import Steps, is_system
from cifake_ray.data.sources.left_out import Left, left_for
from cifake_ray.data.sources.manifest import is_manifest
from cifake_ray.data.sources.parquet import TABLE_SUFFIXES, has_pictures
from cifake_ray.data.sources.reading import Reading
from cifake_ray.errors import InputError

OTHER_SETS = "sets of labelled pictures besides the one taken"
_SHOWN = 3


def left_beside(root: Path, used: Iterable[Path], reading: Reading, taken: str) -> list[Left]:
    """The files below `root` that are not among `used`, for sources that are no folders of classes.

    `taken`: name of what is used.
    """
    others = set(root.rglob("*")) - set(used)
    names = {str(path.relative_to(root)): path for path in others if path.is_symlink() or not path.is_dir()}
    system = {name for name, path in names.items() if any(map(is_system, path.relative_to(root).parts))}
    beside = names.keys() - system
    return [
        *other_sets(root, beside, reading, taken),
        *left_for("files beside the data set", beside),
        *left_for("files that systems leave", system),
    ]


def other_sets(root: Path | None, names: Iterable[str], reading: Reading, taken: str) -> list[Left]:
    """One entry that names the labelled sets among unused files below `root`; [] without one.

    That is: manifests, archives, tables of pictures, folders that name a class. `root` is None for the members of an
    archive, of which the folders are looked at alone.
    """
    files = sorted(names)
    manifests = [name for name in files if root is not None and is_manifest(root / name, reading)]
    listed = {PurePosixPath(name).parent for name in manifests}
    found = dict(zip(manifests, manifests, strict=True))  # the set's file or folder -> how it is shown
    for name in files:
        path, tables = PurePosixPath(name), f"{PurePosixPath(name).parent}/*"
        if root is not None and is_archive(root / name) and (root / name).is_file():
            found[name] = name
        elif root is not None and path.suffix.lower() in TABLE_SUFFIXES and tables not in found:
            found |= {tables: str(path.parent / f"*{path.suffix}")} if has_pictures(root / name) else {}
    for folder in dict.fromkeys(PurePosixPath(name).parent for name in files):
        place = _class_folder(folder.parts, reading)
        if place is not None and not listed & {folder, *folder.parents}:
            found.setdefault("/".join(place[:-1]), "/".join(place))
    shown = sorted(found.values())
    reason = f"{OTHER_SETS}, {taken}" if taken else OTHER_SETS
    return [Left(reason, len(shown), tuple(shown[:_SHOWN]))] if shown else []


def _class_folder(steps: Steps, reading: Reading) -> Steps | None:
    """The steps to the first folder that names a part or a class, of a folder in a class; None of other folders."""
    try:
        if not steps or reading.label(steps, "") is None:
            return None
    except InputError:  # names that contradict each other
        return None
    first = next(at for at, step in enumerate(steps) if reading.names_class(step) or reading.part(step) is not None)
    return steps[: first + 1]

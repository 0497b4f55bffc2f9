"""A user's own Python file, whose network a study tunes: read and looked through, never run here."""

import ast
import hashlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from cifake_ray.errors import InputError

_LARGEST = 1 << 20  # bytes
_ALWAYS_THERE = sys.stdlib_module_names | {"cifake_ray"}
_OF_A_RUN = ("environment.json", "study.journal", "best")  # beside the experiment.yaml of a run


@dataclass(frozen=True)
class OwnFile:
    """The content of a Python file, and where the file was read.

    `of_run`: a run's own copy, which another person may have written. `trusted`: the file may be executed.
    """

    path: str
    content: bytes
    of_run: bool = False
    trusted: bool = True

    @property
    def name(self) -> str:
        return PurePath(self.path).name

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the content."""
        return hashlib.sha256(self.content).hexdigest()

    def line_of(self, name: str) -> int:
        """The line that defines this class or function; 1 where none does."""
        kinds = (ast.ClassDef, ast.FunctionDef)
        lines = [node.lineno for node in ast.parse(self.content).body if isinstance(node, kinds) and node.name == name]
        return lines[-1] if lines else 1


def read_own_file(path: Path, *, of_run: bool = False) -> OwnFile:
    """The Python file at `path`; one that lies in the folder of a run is a run's own, and not trusted yet.

    Raises InputError: no such file, no Python in UTF-8, an import of another file beside it.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({reason})", "model.target names FILE.py:CLASS") from error
    if len(content) > _LARGEST:
        raise InputError(f"{path}: larger than {_LARGEST >> 20} MB", "keep data out of the Python file")
    tree = _parsed(path, content)
    for line, module in _imports(tree):
        if _lies_beside(path, module):
            raise InputError(
                f"{path}:{line}: imports {module or 'a second file'} from beside it, and only the file itself travels "
                "with the run",
                "put both into one file, or install the other one as a package on every node",
            )
    of_run = of_run or any((path.parent / name).exists() for name in _OF_A_RUN)
    return OwnFile(str(path), content, of_run, trusted=not of_run)


def _parsed(path: Path, content: bytes) -> ast.Module:
    try:
        content.decode("utf-8")
        return ast.parse(content, str(path))
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text", "save it as UTF-8") from error
    except SyntaxError as error:
        line = error.lineno or 1
        raise InputError(f"{path}:{line}: {type(error).__name__}: {error.msg}", "mend that line") from error
    except (ValueError, RecursionError, MemoryError) as error:  # null bytes, absurd nesting
        raise InputError(f"{path}:1: {type(error).__name__}: {error}", "expected Python source") from error


def _imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and first name of every imported module, anywhere in the file; an empty name for `from . import x`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, "" if node.level else (node.module or "").partition(".")[0]


def _lies_beside(path: Path, module: str) -> bool:
    if not module:
        return True
    files = (path.parent / f"{module}.py", path.parent / module / "__init__.py")
    return module not in _ALWAYS_THERE and any(file.is_file() for file in files)

"""Files replaced in one step: a reader, or a crash, sees the old content or the new one."""

import json
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any


def write_text(file: Path, text: str) -> None:
    """Replace `file` by `text` in one step: a reader, or a crash, sees the old text or the new one."""
    write_bytes(file, text.encode())


def write_json(file: Path, value: Any) -> None:
    """Replace `file` by `value` as JSON, in one step. NaN and infinity are errors: JSON has neither."""
    write_text(file, json.dumps(value, indent=1, allow_nan=False) + "\n")


def write_bytes(file: Path, data: bytes) -> None:
    """Replace `file` by `data` in one step, on disk before it is in place."""
    handle, temporary = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, file)
    except BaseException:
        with suppress(OSError):  # gone with its folder
            os.unlink(temporary)
        raise

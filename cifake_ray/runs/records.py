"""The JSON files of a run that programs rely on: which keys have which type. Unknown keys are kept."""

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError


class _Record(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, protected_namespaces=())


class _Seed(_Record):
    seed: int = 0
    folder: str = ""
    val_accuracy: float = 0.0
    curve: list[dict[str, float]] = []
    test: dict[str, Any] = {}
    test_dedup: dict[str, Any] = {}


class _Winner(_Record):
    role: str
    trial_id: int
    params: dict[str, Any] = {}
    seeds: list[_Seed] = []
    failed: list[str] = []
    mean: dict[str, Any] | None = None


class _Winners(_Record):
    winners: list[_Winner] = []


class _Data(_Record):
    source: str = ""
    fingerprint: str | None = None
    generated: bool = False
    subjects: bool = False
    skipped: list[dict[str, str]] = []
    converted: dict[str, int] = {}


class _Weights(_Record):
    sha256: str


class _Environment(_Record):
    created: str = ""
    command: str = ""
    versions: dict[str, str] = {}
    data: _Data | None = None
    weights: list[_Weights] | None = None
    features: dict[str, Any] | None = None
    seconds: float = 0.0
    resumed: list[dict[str, str]] = []


RECORDS: dict[str, type[_Record]] = {
    "environment.json": _Environment, "winners.json": _Winners, "test.json": _Winners
}  # fmt: skip


def parse_record(file: Path, text: str) -> dict[str, Any]:
    """The JSON object in `text`, the content of `file`; of a known record with its types checked.

    Raises ValueError (one line) when it is no JSON object, or a key holds something else than a program wrote there.
    """
    loaded = json.loads(text)
    if not isinstance(loaded, dict):
        raise ValueError(f"expected an object, found {type(loaded).__name__}")
    if file.name in RECORDS:
        try:
            RECORDS[file.name].model_validate(loaded)
        except ValidationError as error:
            first = error.errors()[0]
            raise ValueError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return loaded

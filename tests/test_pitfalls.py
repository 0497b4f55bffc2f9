"""docs/pitfalls.md keeps to what is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "pitfalls.md").read_text()


def test_each_of_the_fifteen_pitfalls_names_a_test_and_every_named_test_exists() -> None:
    rows = [line.split(" | ") for line in TEXT.splitlines() if re.match(r"\| \d+ \|", line)]
    assert [int(row[0].strip("| ")) for row in rows] == list(range(1, 16))
    assert all(re.search(r"`tests/\S+::\w+`", row[4]) for row in rows)
    for file, name in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT):
        assert f"def {name}(" in (ROOT / file).read_text(), f"{file}::{name}"


def test_every_line_of_doctor_that_is_named_is_one_that_doctor_prints() -> None:
    code = "".join(file.read_text() for file in (ROOT / "cifake_ray" / "doctor").glob("*.py"))
    for words in re.findall(r"doctor: ([^|]*)", TEXT.partition("\n\nTwo more")[0].partition("| 1 |")[2]):
        for name in re.findall(r"`([a-zA-Z/][a-zA-Z/ ]+)`", words):
            assert f'"{name}"' in code or name in ("uv run", "status", "dashboard RUN"), name

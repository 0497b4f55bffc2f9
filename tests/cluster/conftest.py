"""What the tests of the recipes share: where they lie, and how to read them."""

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"


def read_yaml(path: Path) -> list[Any]:
    """The documents of a YAML file under cluster/."""
    return list(yaml.safe_load_all((CLUSTER / path).read_text()))


@pytest.fixture(scope="session")
def image_tag() -> str:
    """The start of the tag that every recipe's image must have."""
    from cifake_ray import __version__

    return f"cifake-ray:{__version__}-"

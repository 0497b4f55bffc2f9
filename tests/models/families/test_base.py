"""Every kind has a family, and settings are read without what the families need."""

import subprocess
import sys

from cifake_ray.experiment import MODEL_KINDS
from cifake_ray.models.registry import FAMILIES


def test_every_kind_has_a_family() -> None:
    assert list(FAMILIES) == list(MODEL_KINDS)


def test_settings_are_read_without_torch_ray_and_timm() -> None:
    packages = {"torch", "torchvision", "ray", "timm"}
    heavy = f"import sys, cifake_ray.experiment; print(sorted({packages} & {{*sys.modules}}))"
    assert subprocess.check_output([sys.executable, "-c", heavy], text=True).strip() == "[]"

"""The images of each study: what they are, how they were split, what was skipped."""

from collections.abc import Sequence
from typing import Any

from cifake_ray.reporting.comparison import what_it_is
from cifake_ray.reporting.formatting import listed, whole
from cifake_ray.reporting.load import Study, section
from cifake_ray.reporting.sections.section import Listing, Section, Table

_CIFAKE = (
    "CIFAKE is narrow: its REAL images are CIFAR-10 photographs saved again as JPEG, its FAKE images were made with "
    "Stable Diffusion 1.4 for the same ten subjects and reduced to 32 by 32 pixels (texts that say StyleGAN2 are "
    "wrong).",
    "The kernel that shrank the FAKE images is not stated, and CIFAR-10's REAL images were shrunk by another. A "
    "detector may well have learned to tell two ways of shrinking apart.",
    "378 of the 10,000 FAKE test images are exact copies of train images. The headline leaves such copies out; "
    "figures on all test images stand beside it.",
)


def build(studies: Sequence[Study]) -> Section:
    """What is known to be odd about the images."""
    return Section(caveats=_CIFAKE if any(study.cifake for study in studies) else ())


def of_study(study: Study) -> Section:
    """Facts about the images, and which files were skipped."""
    if not study.data:
        return Section("Data", remarks=("Not recorded yet.",))
    facts = Table([{"Fact": name, "Value": value} for name, value in _facts(study)], look="facts")
    skipped = [f"{file.get('name', '?')}: {file.get('reason', '?')}" for file in listed(study.data.get("skipped"))]
    folded = Listing(skipped, fold=f"Files skipped: {len(skipped)}", code=False)
    return Section("Data", tables=(facts,), listings=(folded,) if skipped else ())


def _facts(study: Study) -> list[tuple[str, str]]:
    data = study.data
    split = section(data, "split")
    return [
        ("Source", f"{data.get('source', '?')} ({data.get('kind', '?')})"),
        ("What it is", what_it_is(study)),
        ("Fingerprint (SHA-256)", str(data.get("fingerprint", "?"))),
        ("Train part", _counted(section(data, "train"))),
        (
            "Split",
            f"{whole(split.get('train'))} train, {whole(split.get('validation'))} validation",
        ),
        ("Test part", _counted(section(data, "test"))),
        ("Test images that are also in train", whole(data.get("duplicates_in_test"))),
        ("Files skipped", whole(len(data.get("skipped") or []))),
        ("Images converted", _counted(section(data, "converted")) or "none"),
    ]


def _counted(counts: dict[str, Any]) -> str:
    return ", ".join(f"{whole(count) if isinstance(count, int) else count} {name}" for name, count in counts.items())

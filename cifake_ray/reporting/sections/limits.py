"""The limits of a report: the caveats of its sections, and what holds for every detector."""

from collections.abc import Iterable

from cifake_ray.reporting.section import Section

_ALWAYS = (
    "Winners are chosen on validation images, so their validation accuracy is a little too good (selection noise, "
    "above); the test part is used once, for winners and baselines.",
    "A detector says nothing about images of another size or origin than those it was trained on, or images that were "
    "edited, cropped or compressed again. Do not use it to accuse anyone.",
)


def limits_of(sections: Iterable[Section]) -> Section:
    """The caveats in the order of the sections."""
    found = [caveat for section in sections for caveat in section.caveats]
    return Section("Limits", [*found, *_ALWAYS], look="list", anchor="limits")

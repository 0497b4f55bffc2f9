"""Whether one class outnumbers the other so far that accuracy alone misleads."""

from collections.abc import Mapping

MOST = 0.6  # share of one class, from which on a study begins with a warning


def unbalanced(part: str, images: Mapping[str, int]) -> str | None:
    """One sentence when more than 60 % of a part have one label; None otherwise. images: label -> number."""
    total = sum(images.values())
    label = max(images, key=lambda name: images[name])
    share = images[label] / max(total, 1)
    if share <= MOST:
        return None
    return (
        f"{100 * share:.1f} % of the {total:,} {part} images are {label}: a model that always says {label} reaches "
        "that accuracy; look at balanced accuracy and AUC"
    )

"""Checks of class balance and size of parts: accuracy alone misleads, or a part is too small."""

from collections.abc import Mapping

from cifake_ray.stats.intervals import wilson

MOST = 0.6  # share of one class, from which on a study begins with a warning
FEWEST = 100  # images of each class in validation and test, below which a study begins with a warning


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


def few_images(parts: Mapping[str, Mapping[str, int]]) -> str | None:
    """One sentence when a part has fewer than 100 images of a class; None otherwise. parts: part -> label -> images.

    The half-width is of Wilson's 95 % interval at accuracy 0.5, where the interval is widest.
    """
    small = {part: images for part, images in parts.items() if min(images.values()) < FEWEST}
    if not small:
        return None
    said = []
    for part, images in small.items():
        low, high = wilson(0.5, sum(images.values()))
        each = " + ".join(f"{count:,} {label}" for label, count in images.items())
        said.append(f"{part} has {each} images, which give an accuracy to within {50 * (high - low):.0f} points")
    return f"{'; '.join(said)} (95 % interval); {FEWEST} or more of each class are needed for a comparison"

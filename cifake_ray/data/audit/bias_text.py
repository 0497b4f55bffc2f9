"""The bias check in words: one sentence, a warning, the lines of `data audit`, cells of a table."""

from collections.abc import Iterator

from cifake_ray.console import counted
from cifake_ray.data.audit.bias import FEWEST_FILES
from cifake_ray.runs.columns import LABELS
from cifake_ray.runs.records import Bias, GroupScore, PropertyByClass, PropertyScore, Share, Spread

_FEW = 5  # a group of fewer pictures has no line of its own; the JSON has all groups
CURE = (
    "a detector may learn how files were made instead of what is generated; give both classes the same, for example by "
    "data.neutral with a size below the smaller pictures' sides"
)


def sentence(bias: Bias) -> str:
    """The accuracy of a model without pixels, the number of pictures, and the properties that separate the classes."""
    if bias.accuracy is None:
        return (
            "too few different files, or all alike, to measure how well a model that sees no pixel separates the "
            f"classes ({FEWEST_FILES} of each class are needed)"
        )
    looked = sum(bias.images.values())
    pictures = f"{looked:,} pictures" if looked == bias.of else f"{looked:,} of {bias.of:,} pictures"
    reached = f"a model that sees no pixel reaches {score_words(bias.accuracy)} balanced accuracy on {pictures}"
    leading = bias.leading()
    alone = ", ".join(_alone(bias, one) for one in leading)
    better = any(one.alone > bias.accuracy.value for one in leading)
    why = " (from few pictures one property may learn more than all together; all are of the same held-out folds)"
    return f"{reached}: {alone}{why if better else ''}" if alone else reached


def warning(bias: Bias | None) -> str | None:
    """One sentence where file properties surely separate the classes, with what to do; None otherwise."""
    return f"{sentence(bias)}; {CURE}" if bias is not None and bias.telling else None


def before_and_after(before: Bias, after: Bias) -> list[str]:
    """The check of pictures as delivered, and of the same pictures in the neutral encoding."""
    return [f"as delivered, {sentence(before)}", f"re-encoded alike, {sentence(after)}"]


def lines(bias: Bias) -> Iterator[str]:
    """The check for people, a topic a line: the whole, each group, then the bare table of each property by class."""
    yield f"{'bias':20} {'warning: ' if bias.telling else ''}{warning(bias) or sentence(bias)}"
    few = [group for group in bias.groups if group.images < _FEW]
    for group in bias.groups:
        if group not in few:
            yield f"{'':20} {group.column} {group.value}: {group_words(group)}"
    for column in dict.fromkeys(group.column for group in few):
        images = [group.images for group in few if group.column == column]
        pictures = counted(sum(images), "picture")
        yield f"{'':20} {column}: {len(images):,} others of fewer than {_FEW} pictures each ({pictures} in all)"
    for row in bias.table:
        if not _constant(row):
            yield f"{row.name:20} {'; '.join(f'{label} {by_class(row, label)}' for label in LABELS)}"


def score_words(score: Share) -> str:
    """`97.2 % [91.3, 98.8]`."""
    return f"{100 * score.value:.1f} % [{100 * score.low:.1f}, {100 * score.high:.1f}]"


def group_words(group: GroupScore) -> str:
    """Balanced accuracy of a group without pixels; of a small one the count and the interval only."""
    if group.balanced is None:
        low, high = 100 * group.right.low, 100 * group.right.high
        return f"{counted(group.images, 'picture')}, {low:.0f} to {high:.0f} % called rightly"
    return f"{counted(group.images, 'picture')}, {score_words(group.balanced)} balanced accuracy"


def by_class(row: PropertyByClass, label: str) -> str:
    """The values of one class: `JPEG 60 %, PNG 40 %`, or `512 (348 to 1,024)`: median, 5 and 95 %."""
    if row.words:
        of_class = row.words.get(label, {})
        total = sum(of_class.values())
        return ", ".join(f"{word} {_percent(images, total)}" for word, images in of_class.items()) or "none"
    spread = row.numbers.get(label)
    return "none" if spread is None else f"{spread.median:,g} ({spread.low:,g} to {spread.high:,g})"


def _percent(images: int, total: int) -> str:
    """`60 %`; `< 1 %` rather than 0."""
    return f"{100 * images / total:.0f} %" if images >= 0.005 * total else "< 1 %"


def _constant(row: PropertyByClass) -> bool:
    """Whether all pictures of both classes have one and the same value."""
    if row.words:
        return len({word for of_class in row.words.values() for word in of_class}) < 2
    return len({limit for spread in row.numbers.values() for limit in _limits(spread)}) < 2


def _limits(spread: Spread | None) -> tuple[float | None, ...]:
    return (None,) if spread is None else (spread.low, spread.high)


def _alone(bias: Bias, one: PropertyScore) -> str:
    """`format alone 93.0 % (FAKE mostly PNG, REAL mostly JPEG)`; of numbers the medians."""
    seen = [_typical(bias, one.name, label) for label in LABELS]
    told = ", ".join(f"{label} {what}" for label, what in zip(LABELS, seen, strict=True))
    return f"{one.name} alone {100 * one.alone:.1f} %" + (f" ({told})" if seen[0] != seen[1] else "")


def _typical(bias: Bias, name: str, label: str) -> str:
    """The value that most pictures of a class have, or their median."""
    rows = {row.name: row for row in bias.table}
    if name in rows and rows[name].words:
        return f"mostly {next(iter(rows[name].words.get(label, {})), 'none')}"
    sides = ("width", "height") if name == "size" else (name,)
    spreads = [rows[side].numbers.get(label) for side in sides if side in rows]
    return "median " + "x".join("none" if spread is None else f"{spread.median:g}" for spread in spreads)

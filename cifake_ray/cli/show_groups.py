"""What the commands print of groups of images, such as those of one generator."""

import math
from typing import TYPE_CHECKING

from cifake_ray.cli.show import interval, print_table
from cifake_ray.console import printable

if TYPE_CHECKING:
    from cifake_ray.runs.records import GroupRow


def print_groups(groups: "list[GroupRow]") -> None:
    """Print a row for each group; of fewer than 20 images the count and the interval."""
    columns = ["group", "class", "images", "judged rightly [95 %]", "balanced accuracy [95 %]", "AP", "AUC"]
    print_table(columns, [_row(group) for group in groups])


def _row(group: "GroupRow") -> list[str]:
    right, balanced = group.right, group.balanced_accuracy
    return [
        f"{group.column} {printable(group.value)}",
        group.label,
        f"{group.images:,}",
        interval(right) if group.large else f"[{100 * right.low:.2f}, {100 * right.high:.2f}]",
        "" if math.isnan(balanced.value) else interval(balanced),
        *("" if value is None else f"{value:.4f}" for value in (group.average_precision, group.auc)),
    ]

"""Tests of the difference between two models on the same images, and their correction for many tests."""

from collections.abc import Sequence


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided mid-p of McNemar's test: twice the binomial tail, of its last term only half.

    Fagerland, Lydersen and Laake (2013), BMC Medical Research Methodology 13, 91.
    """
    from scipy.stats import binom  # half a second to import

    fewer, discordant = min(only_first, only_second), only_first + only_second
    exact = min(1.0, 2 * float(binom.cdf(fewer, discordant, 0.5)))
    return exact - float(binom.pmf(fewer, discordant, 0.5)) if only_first != only_second else 1.0


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p values in the order given. S. Holm (1979), Scandinavian Journal of Statistics 6, 65-70."""
    adjusted = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted

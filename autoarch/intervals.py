"""How sure a number is: intervals for shares and for means, and Student's distribution that they need.

SciPy is no dependency, and these are the few functions of it that a search needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

LEVEL = 0.95

Interval = tuple[float, float]


def wilson(hits: int, rows: int, level: float = LEVEL) -> Interval:
    """An interval for a share, of which ``hits`` among ``rows`` were seen.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    Example:
        >>> [round(v, 4) for v in wilson(9, 10)]
        [0.5958, 0.9821]
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, weight = hits / rows, z * z / rows
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / rows + weight / (4 * rows))
    return max(0.0, centre - half), min(1.0, centre + half)


def student(
    values: Sequence[float], level: float = LEVEL, *, least: float = -math.inf, most: float = math.inf
) -> Interval | None:
    """An interval for the mean of what ``values`` are drawn from, within what it can be; None for fewer than two.

    Source: Student 1908, "The probable error of a mean".
    Example:
        >>> [round(v, 4) for v in student([1.0, 2.0, 3.0], least=0)], [round(v, 4) for v in student([0.98, 1.0], most=1)]
        ([0, 4.4841], [0.8629, 1])
    """
    if len(values) < 2:
        return None
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / math.sqrt(len(values))
    half = student_quantile(0.5 + level / 2, len(values) - 1) * error
    return max(mean - half, least), min(mean + half, most)


def student_tail(t: float, freedom: int) -> float:
    """The probability that Student's distribution is above ``t``.

    Example:
        >>> round(student_tail(2.0, 10), 6)
        0.036694
    """
    both = _beta(freedom / (freedom + t * t), freedom / 2, 0.5)
    return both / 2 if t > 0 else 1 - both / 2


def student_quantile(probability: float, freedom: int) -> float:
    """Where Student's distribution has ``probability``, of at least a half, below it."""
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > 1 - probability:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > 1 - probability else (low, middle)
    return (low + high) / 2


def _beta(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction.

    Source: Abramowitz and Stegun 1964, 26.5.8, evaluated from its end.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, that of the mirror image does not
        return 1 - _beta(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    value = 1.0
    for m in range(200 + int(math.sqrt(a + b)), 0, -1):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m - 1) * (a + b + m - 1) * x / ((a + 2 * m - 2) * (a + 2 * m - 1))
        value = 1 + odd / (1 + even / value)
    return front / (a * value)

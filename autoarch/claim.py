"""Whether it may be said that a model is better than the baselines.

It is said only if a paired one-sided test on the sealed test rows is below ``LEVEL`` against each baseline. Both are given
row by row, as losses: 1 for a wrong class and 0 for a right one, or the squared error. The test rows took no part in any
choice, so nothing has to be made good for the number of candidates; and as each of several tests has to succeed, a model
that is no better than one of the baselines is called better in at most ``LEVEL`` of all searches.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from autoarch.intervals import student_tail
from layerkit.ir import Array

LEVEL = 0.02
POWER = 0.8
EXACT = 14  # so many signs are all tried; beyond, DRAWS of them
DRAWS, GROUPS = 9_999, 4_096


@dataclass(frozen=True)
class Comparison:
    """The model beside one baseline.

    Attributes:
        baseline: its name.
        gain: by how much the model's mean loss is lower.
        p: the probability of such a gain, or a larger one, if the model were no better.
        better, worse: rows on which the model's loss is lower, and higher.
        test: what was computed.
        needed: rows of a test part that would show such a gain (see ``rows_needed``); None where there is none to show.
    """

    baseline: str
    gain: float
    p: float
    better: int
    worse: int
    test: str
    needed: int | None = None

    @property
    def is_beaten(self) -> bool:
        """Whether the model may be called better than this baseline."""
        return self.gain > 0 and self.p < LEVEL


@dataclass(frozen=True)
class Claim:
    """What may be said of a model; ``is_better`` than every baseline, or not shown to be."""

    is_better: bool
    comparisons: tuple[Comparison, ...]
    level: float = LEVEL

    @property
    def sentence(self) -> str:
        """The claim in words."""
        if not self.comparisons:
            return "there is no baseline to compare with"
        beaten = [c.baseline for c in self.comparisons if c.is_beaten]
        if self.is_better:
            return f"better than every baseline: {', '.join(beaten)} (p < {self.level:g} against each)"
        others = ", ".join(f"{c.baseline} (p = {c.p:.2g})" for c in self.comparisons if not c.is_beaten)
        but = f"; better than {', '.join(beaten)}" if beaten else ""
        return f"no candidate beats the baselines: not shown to be better than {others}{but}"


def claim(model: Array, baselines: Mapping[str, Array], *, block: int = 1) -> Claim:
    """Compare losses on the same rows.

    Args:
        model: the loss of each row.
        baselines: likewise, by their names.
        block: so many rows that follow one another may depend on each other, as windows of a series that overlap do.

    Example:
        >>> wrong = np.array([0, 0, 0, 0, 0, 0, 0, 1])
        >>> claim(wrong, {"majority": 1 - wrong}).comparisons[0].p  # 7 rows for the model, 1 against: (8 + 1) / 2**8
        0.03515625
    """
    found = tuple(compare(name, np.asarray(losses) - model, block=block) for name, losses in baselines.items())
    return Claim(bool(found) and all(c.is_beaten for c in found), found)


def compare(name: str, gains: Array, *, block: int = 1) -> Comparison:
    """The test for one baseline, from how much lower the model's loss is on each row."""
    gains = np.asarray(gains, "float64").ravel()
    better, worse = int((gains > 0).sum()), int((gains < 0).sum())
    needed = rows_needed(gains) if block == 1 else None
    if block > 1:
        p, test = mean_above_zero(_summed(gains, max(1, len(gains) // block))), f"signs of blocks of {block} rows"
    elif np.isin(gains, (-1.0, 0.0, 1.0)).all():
        p, test = mcnemar(better, worse), "exact McNemar"
    else:
        p, test = mean_above_zero(gains), "signs of rows"
    return Comparison(name, float(gains.mean()), p, better, worse, test, needed)


def rows_needed(gains: Array) -> int | None:
    """About how many rows show a gain four times in five, if it and its scatter are as they look; None without a gain.

    For right and wrong answers Connor's formula for McNemar's test, which for other numbers is that of a paired z-test.

    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample design".
    Example:
        >>> rows_needed(np.array([1.0] * 11 + [-1.0] * 7 + [0.0] * 337)), rows_needed(np.array([0.0, -1.0]))
        (3400, None)
    """
    gain, square = float(gains.mean()), float((gains**2).mean())
    if gain <= 0:
        return None
    of_level, of_power = NormalDist().inv_cdf(1 - LEVEL), NormalDist().inv_cdf(POWER)
    rows = ((of_level * math.sqrt(square) + of_power * math.sqrt(max(square - gain**2, 0.0))) / gain) ** 2
    digits = 10 ** max(0, math.floor(math.log10(rows)) - 1) if rows > 1 else 1
    return digits * math.ceil(rows / digits)


def mcnemar(better: int, worse: int) -> float:
    """The probability of so many rows for the model, or more, among those where only one of two is right.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions"; exact, one-sided.
    Example:
        >>> mcnemar(5, 0), mcnemar(0, 0)
        (0.03125, 1.0)
    """
    rows = better + worse
    term = total = math.comb(rows, better)
    for k in range(better, rows):
        term = term * (rows - k) // (k + 1)
        total += term
    return total / (1 << rows)


def mean_above_zero(gains: Array) -> float:
    """The probability of such a mean, or a higher one, if the true mean were zero: the larger of two tests' answers.

    Signs that are flipped at random are exact where gains are as often above as below zero by the same amount. Gains of a
    skewed target are not: a model of its median wins a little on most rows and loses much on a few, which a small test part
    may lack. Hall's transformation of Student's t takes the skewness out.

    Source: Hall 1992, "On the removal of skewness by transformation".
    """
    return max(flipped(gains), _without_skewness(gains))


def flipped(gains: Array) -> float:
    """The share of all choices of signs that give a sum as high (Fisher 1935); beyond 14 numbers, of drawn ones.

    Example:
        >>> flipped(np.array([1.0, 2.0, 3.0])), flipped(np.array([1.0, 2.0, -3.0]))
        (0.125, 0.625)
    """
    gains = np.asarray(gains, "float64")
    gains = _summed(gains[gains != 0], GROUPS)
    least = gains.sum() - 1e-9 * np.abs(gains).sum()  # sums of other orders are equal but for rounding
    if len(gains) <= EXACT:
        sums = np.zeros(1)
        for gain in gains:
            sums = np.concatenate([sums + gain, sums - gain])
        return float(np.mean(sums >= least))
    # A random byte chooses the signs of eight gains: the 256 sums of each eight are made once, and looked up.
    eights = np.pad(gains, (0, -len(gains) % 8)).reshape(-1, 8)
    signs = 2.0 * np.unpackbits(np.arange(256, dtype="uint8")[:, None], axis=1) - 1
    rng, sums = np.random.default_rng(0), np.zeros(DRAWS)
    for eight in eights:
        sums += (signs * eight).sum(1)[np.frombuffer(rng.bytes(DRAWS), "uint8")]
    return (1 + int((sums >= least).sum())) / (DRAWS + 1)


def _without_skewness(gains: Array) -> float:
    """By Hall's t. The skewness is lowered by its standard error: few rows show too little of a long tail below."""
    rows = len(gains)
    if rows < 3:
        return 1.0
    deviation = float(gains.std(ddof=1))
    if deviation <= 1e-9 * abs(float(gains.mean())):  # all alike: the signs alone decide
        return 0.0
    w = float(gains.mean()) / deviation
    standard = (gains - gains.mean()) / deviation
    unbiased = math.sqrt(rows * (rows - 1)) / (rows - 2) * (rows / (rows - 1)) ** 1.5
    s = float((standard**3).mean()) * unbiased - math.sqrt(6 / rows)
    t = math.sqrt(rows) * (w + s * w**2 / 3 + s**2 * w**3 / 27 + s / (6 * rows))
    return student_tail(t, rows - 1)


def _summed(gains: Array, count: int) -> Array:
    """Sums over at most ``count`` blocks of rows that follow one another, of nearly equal sizes."""
    if len(gains) <= count:
        return gains
    return np.add.reduceat(gains, np.arange(count) * len(gains) // count)

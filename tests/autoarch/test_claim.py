"""Whether a model is better: exact small cases by hand, and how often noise is called better."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from autoarch.claim import LEVEL, claim, compare, flipped, mcnemar, mean_above_zero, rows_needed
from autoarch.intervals import student, student_quantile, student_tail, wilson


def test_mcnemar_is_the_tail_of_coins():
    assert mcnemar(3, 1) == 5 / 16
    assert mcnemar(0, 4) == 1
    assert mcnemar(5_300, 4_700) == pytest.approx(1.0e-9, rel=0.1)  # 6 deviations: the normal tail is 9.9e-10


def test_all_choices_of_signs():
    gains = np.array([0.3, -0.1, 2.0, 0.7, 0.7, -0.2])
    sums = [np.dot(signs, gains) for signs in product([-1, 1], repeat=len(gains))]
    assert flipped(gains) == np.mean(np.array(sums) >= gains.sum() - 1e-12)


def test_drawn_signs_agree_with_the_normal_tail():
    gains = np.random.default_rng(0).normal(size=2_000)
    gains += 0.04 - gains.mean()
    z = gains.sum() / np.sqrt((gains**2).sum())
    assert flipped(gains) == pytest.approx(student_tail(z, 10**6), abs=0.005)
    assert flipped(gains) == flipped(gains)


@pytest.mark.parametrize(
    ("t", "freedom", "tail"),  # printed tables of Student's distribution
    [
        (6.314, 1, 0.05),
        (4.303, 2, 0.025),
        (2.132, 4, 0.05),
        (2.764, 10, 0.01),
        (2.042, 30, 0.025),
        (1.96, 10**7, 0.025),
    ],
)
def test_students_distribution(t, freedom, tail):
    assert student_tail(t, freedom) == pytest.approx(tail, rel=1e-3)
    assert student_tail(-t, freedom) == pytest.approx(1 - tail, rel=1e-3)
    assert student_quantile(1 - tail, freedom) == pytest.approx(t, rel=1e-3)


def test_intervals():
    assert student([5.0]) is None
    assert student([2.0, 2.0, 2.0]) == (2, 2)
    assert student([1.0, 3.0]) == pytest.approx((2 - 12.706, 2 + 12.706), abs=1e-3)
    low, high = wilson(0, 10)  # 1.96**2 / (10 + 1.96**2)
    assert (low, high) == pytest.approx((0, 0.2775), abs=1e-4)


def test_each_baseline_has_to_be_beaten():
    wrong = np.r_[np.zeros(90), np.ones(10)]
    poor, alike = np.r_[np.ones(30), np.zeros(60), np.ones(10)], np.r_[1, np.zeros(89), np.ones(10)]
    assert claim(wrong, {"poor": poor}).is_better
    found = claim(wrong, {"poor": poor, "alike": alike})
    assert not found.is_better
    assert found.sentence == (  # one row is for the model, none against
        "no candidate beats the baselines: not shown to be better than alike (p = 0.5); better than poor"
    )
    assert not claim(wrong, {}).is_better
    assert not claim(wrong, {"itself": wrong}).is_better


def test_gains_that_are_all_alike():
    assert mean_above_zero(np.full(10, 0.1)) == 2**-10
    assert mean_above_zero(np.full(10, -0.1)) == 1
    assert mean_above_zero(np.zeros(10)) == 1


def _skewed(rng: np.random.Generator, rows: int, share: float) -> np.ndarray:
    """Gains over the true mean, of a constant between it and the median; the target is log-normal."""
    y, mean = np.exp(rng.normal(size=rows)), np.exp(0.5)
    constant = share + (1 - share) * mean
    return (y - mean) ** 2 - (y - constant) ** 2


@pytest.mark.slow
@pytest.mark.parametrize("rows", [12, 60])
@pytest.mark.parametrize("gains", ["normal", "skewed", "nearly the mean", "exponential"])
def test_noise_is_called_better_in_two_of_a_hundred(gains, rows):
    """Each is no gain or a loss in truth; of 400, 8 are expected at most, and 20 are beyond the luck of one in 10,000."""
    draw = {
        "normal": lambda rng: rng.normal(size=rows),
        "skewed": lambda rng: _skewed(rng, rows, 1.0),
        "nearly the mean": lambda rng: _skewed(rng, rows, 0.1),
        "exponential": lambda rng: 1 - rng.exponential(size=rows),
    }[gains]
    rng = np.random.default_rng(7)
    assert sum(mean_above_zero(draw(rng)) < LEVEL for _ in range(400)) <= 20


def test_rows_that_depend_on_each_other_are_taken_in_blocks():
    """Windows that overlap: sums of ten steps. Rows taken one by one would be called better far too often."""
    rng = np.random.default_rng(3)
    single = together = 0
    for _ in range(150):
        gains = np.convolve(rng.normal(size=209), np.ones(10), "valid")
        single += mean_above_zero(gains[:200]) < LEVEL
        together += compare("b", gains[:200], block=20).p < LEVEL
    assert single > 30
    assert together <= 10  # 3 are expected


def test_a_true_gain_is_seen():
    rng = np.random.default_rng(0)
    seen = sum(mean_above_zero(0.5 + rng.normal(size=60)) < LEVEL for _ in range(50))
    assert seen >= 45  # the power of Student's t is 0.96


@pytest.mark.parametrize(("better", "worse"), [(0.03, 0.01), (0.2, 0.1), (0.012, 0.004)])
def test_so_many_rows_as_are_needed_show_a_gain_of_classes_four_times_in_five(better, worse):
    rng = np.random.default_rng(0)
    shares = [better, worse, 1 - better - worse]
    rows = rows_needed(np.repeat([1.0, -1.0, 0.0], (10_000 * np.array(shares)).round().astype(int)))
    shown = [compare("b", rng.choice([1.0, -1.0, 0.0], rows, p=shares)).is_beaten for _ in range(1000)]
    assert 0.75 < np.mean(shown) < 0.87


def test_so_many_rows_as_are_needed_show_a_gain_of_numbers():
    rng = np.random.default_rng(0)
    gains = rng.normal(size=100_000)
    rows = rows_needed(gains - gains.mean() + 0.3)
    shown = [compare("b", rng.normal(0.3, 1, rows)).is_beaten for _ in range(200)]
    assert 0.7 < np.mean(shown) < 0.9
    assert compare("b", gains[:100] + 1, block=5).needed is None  # rows that depend on each other count less

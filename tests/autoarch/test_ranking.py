"""One rule says who is better, and everybody who orders trials follows it."""

from __future__ import annotations

from autoarch.halving import promoted
from autoarch.incumbent import incumbent, offer
from autoarch.space import Drawn
from autoarch.study import Trial, ranked
from autoarch.tasks import Result

BY_HAND = [4, 1, 5, 3, 0, 2]
"""The best first: further (4 and 1), of equals the earlier; more accurate; equally accurate and a lower loss; failed."""
FOUND = {
    0: [{"loss": 0.9, "accuracy": 0.7}], 1: [{"loss": 0.5, "accuracy": 0.8}, {"loss": 0.4, "accuracy": 0.6}], 2: [],
    3: [{"loss": 0.7, "accuracy": 0.8}], 4: [{"loss": 0.5, "accuracy": 0.8}, {"loss": 0.9, "accuracy": 0.7}],
    5: [{"loss": 0.6, "accuracy": 0.8}],
}  # fmt: skip


def made() -> list[Trial]:
    found = []
    for number, scores in FOUND.items():
        results = dict(enumerate(map(Result, scores))) or {0: Result(reason="diverged")}
        found.append(Trial(number, 0, "small", 9, "random", Drawn(), f"spec {number}\n", results))
    return found


def test_the_leaderboard_and_the_best_so_far(tmp_path):
    trials = made()
    assert [t.number for t in ranked(trials)] == BY_HAND
    (tmp_path / "trained.lk").write_bytes(b"model")
    for trial in trials:
        for rung, result in trial.results.items():
            if result.reason is None:
                offer(tmp_path, trial, rung, result, tmp_path / "trained.lk")
    assert incumbent(tmp_path).trial == BY_HAND[0]


def test_who_goes_on_from_the_first_rung():
    assert [t.number for t in promoted(made(), 0)] == [1, 4]  # 0.8 and the lowest losses, of six a third
    assert [t.number for t in promoted(made(), 1)] == [4]

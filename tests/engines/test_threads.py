"""How many threads a step is given while other programs want the cores."""

from layerkit.engines.llvm.threads import Pace


def play(pace: Pace, together: float, alone: float, steps: int) -> float:
    """Take so many steps; the share of them with a thread spared."""
    spared = 0
    for _ in range(steps):
        spared += pace.spared
        pace.took(alone if pace.spared else together, 1)
    return spared / steps


def test_a_busy_core_is_left_alone_and_taken_back() -> None:
    pace = Pace()
    assert play(pace, together=1.0, alone=1.8, steps=3000) < 0.02
    assert play(pace, together=2.4, alone=1.8, steps=500) > 0.9
    assert play(pace, together=2.4, alone=1.8, steps=3000) > 0.98
    assert play(pace, together=1.0, alone=1.8, steps=6000) < 0.4
    assert play(pace, together=1.0, alone=1.8, steps=3000) < 0.02


def test_runs_of_many_steps_count_as_such() -> None:
    pace = Pace()
    spared = 0
    for _ in range(100):
        spared += pace.spared
        pace.took(64 * (1.8 if pace.spared else 1.0), 64)
    assert spared < 12

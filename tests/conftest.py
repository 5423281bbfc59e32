"""What every test run needs: the oracles' settings, and a budget in seconds for each area of tests."""

from __future__ import annotations

import os
import random
import signal
import tempfile
from collections import defaultdict
from pathlib import Path, PurePosixPath

# Keras reads these when it is first imported; JAX must not look for an accelerator.
os.environ["KERAS_BACKEND"] = "jax"
os.environ["JAX_PLATFORMS"] = "cpu"
# Tiny tensors: compiling takes longer than running.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true")
# Compiled code is kept between runs, but not among the user's own.
os.environ.setdefault(
    "LAYERKIT_CACHE_DIR", str(Path(tempfile.gettempdir()) / f"layerkit-tests-{os.environ.get('USER', '')}")
)

# A shell starts what runs in the background with interrupts ignored, and children inherit that; tests send interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from layerkit.utils import set_random_seed

# The same examples on every machine, however slow it is today.
settings.register_profile("repeatable", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
settings.load_profile("repeatable")

_drawn: dict[str, dict[str, object]] = {}
"""What the generator of a module of tests, ``RNG``, had drawn when it was imported."""


def begin_numbers(module: object) -> None:
    """Numbers that a test draws depend on no other test: which ones ran before in this process, nobody knows."""
    set_random_seed(0)
    random.seed(0)  # Keras takes its seeds from here
    np.random.seed(0)
    if isinstance(rng := getattr(module, "RNG", None), np.random.Generator):
        rng.bit_generator.state = _drawn.setdefault(module.__name__, rng.bit_generator.state)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    begin_numbers(getattr(item, "module", None))  # what several tests share, the first of them makes


@pytest.fixture(autouse=True)
def _numbers_begin(request: pytest.FixtureRequest) -> None:
    begin_numbers(getattr(request.node, "module", None))


# Seconds on two cores. An area is a folder below tests/, "tests" for files directly in it, or a package for its doctests.
BUDGETS_S = {
    "tests": 60,
    "autoarch": 160,
    "benchmarks": 30,
    "builders": 260,
    "cli": 250,
    "data": 10,
    "engines": 240,
    "examples": 120,
    "ir": 10,
    "layers": 150,
    "models": 60,
    "ops": 420,
    "oracle": 240,
    "passes": 30,
    "saving": 20,
    "training": 60,
    "doctests": 20,
}
DEFAULT_BUDGET_S = 20
TOLERATED = 2  # a busy machine is no failure; twice the budget is

_spent_s: dict[str, float] = defaultdict(float)


def area(nodeid: str) -> str:
    """The area that a test's time counts for.

    >>> area("tests/ops/test_math.py::test_add"), area("tests/test_architecture.py::test_x"), area("layerkit/tree.py::f")
    ('ops', 'tests', 'doctests')
    """
    parts = PurePosixPath(nodeid.split("::")[0]).parts
    if parts[0] != "tests":
        return "doctests"
    return parts[1] if len(parts) > 2 else "tests"


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    _spent_s[area(report.nodeid)] += report.duration


def over_budget() -> dict[str, float]:
    return {name: s for name, s in _spent_s.items() if s > TOLERATED * BUDGETS_S.get(name, DEFAULT_BUDGET_S)}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With LAYERKIT_BUDGETS=1 an area that is far over its budget fails the run; elsewhere it is only told.

    .ci/run does not set it: how long tests take there says more of the machine, and of what else it does, than of them.
    """
    if os.environ.get("LAYERKIT_BUDGETS") == "1" and over_budget() and exitstatus == 0:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _spent_s:
        return
    terminalreporter.section("seconds by area (budget)")
    late = over_budget()
    for name, spent in sorted(_spent_s.items(), key=lambda item: -item[1]):
        mark = "  OVER BUDGET" if name in late else ""
        terminalreporter.line(f"{spent:8.1f}  {name} ({BUDGETS_S.get(name, DEFAULT_BUDGET_S)}){mark}")

"""What a fused loop takes, in two measures.

``price`` decides how loops are cut into chunks, which results depend on: it is rough, errs to the safe side, and stays as it
is. ``took`` is as near as it gets, and serves to predict the time of a step.
"""

from __future__ import annotations

from layerkit.engines.llvm.loops.nest import Expr, Nest
from layerkit.ir import Size, product

COST = {
    "exp": 0.24, "expm1": 0.56, "log": 0.38, "log1p": 0.52, "tanh": 0.3, "sigmoid": 0.31, "erf": 1.0, "erfinv": 1.4,
    "sqrt": 0.12, "rsqrt": 0.25, "divide": 0.06, "power": 3.3, "sin": 1.15, "cos": 1.15, "tan": 1.4, "arctan2": 1.5, "uniform": 0.8,
    "normal": 3.0,
}  # fmt: skip
"""Rough nanoseconds of a function of one element beyond those of a sum, on the safe side by a third."""

HIDDEN = ("divide", "sqrt")
"""What is done while memory is waited for, as sums and comparisons are."""
LOAD_PS, TAKE_PS, STORE_PS = 20, 1100, 30
"""Of one element: read where it lies, looked up each by itself, and of a result."""
FITTED = 16  # lanes of the processor on which this was measured: with fewer, functions take as many times as long


def price(nest: Nest, scale: Size) -> float:
    """Rough nanoseconds of one unit on one core."""
    elements = product([scale, *nest.axes[1:]])
    count = elements if isinstance(elements, int) else 1000
    ops = sum(COST.get(e.word, 0.02) for e in nest.loads()) + 0.05 * len(nest.results)
    return float(count) * ops


def took(nest: Nest, lanes: int) -> Size:
    """Nanoseconds of all units on one core: what is read, written, and looked up in the table of functions.

    The last axis is gone through in whole vectors of ``lanes`` elements. The constants were fitted to the loops of training
    steps of all spaces that ``autoarch`` ships (``tests/benchmarks/epoch_time.py``), on a core that adds and multiplies 16
    numbers at a time.
    """
    axes = list(nest.axes)
    if len(axes) > 1 and isinstance(axes[-1], int) and axes[-1] > 1:
        axes[-1] = -(-axes[-1] // lanes) * lanes
    each = STORE_PS * len(nest.results) + sum(_read(e, len(nest.axes)) for e in nest.loads())
    functions = sum(COST.get(e.word, 0) for e in nest.loads() if e.word not in HIDDEN)
    return product(axes) * (each + round(1000 * functions * FITTED / lanes)) // 1000


def _read(e: Expr, loops: int) -> int:
    """Picoseconds to read an element, if it is read at all."""
    if e.kind == "take" and max(row.depth for row in e.args) == loops:
        return TAKE_PS
    return LOAD_PS if e.kind in ("load", "take") else 0

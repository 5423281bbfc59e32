"""The choice of register tiles: a model of what a processor can hold, checked by measurement on two kinds of processor.

A tile of ``rows`` x ``vectors`` sums keeps them in registers, beside the vectors of a panel and one number of the left
operand in all lanes; each row of form "n" also needs a general register that points to it. As many rows as fit are best:
every load then serves most sums. The choice changes no bit of a result, since a sum has one register and one order.

Nothing is measured when a program is compiled, as there is nothing to gain: with 32 registers of 16 lanes all tiles that
fit reach 113 to 116 GFLOP/s of 118 (a product of 512 x 512, a convolution and its gradient by the kernel, 16 to 64 columns),
and those that do not fit fall to 73; with 16 registers of 8 lanes the model's tiles (3 x 4, 2 x 6, 1 x 8) are the best of
those tried: 113, 110 and 87, their neighbours 106, 106 and 84. ``layerkit tune`` measures them on another machine, and what
it chose is kept in the cache of compiled code, for these features and versions.
"""

from __future__ import annotations

import json
import os
from dataclasses import astuple

from layerkit.engines.llvm.codegen.cache import ObjectCache, key_of
from layerkit.records import dataclass

SWITCH = "LAYERKIT_TUNING"
"""Environment variable: 0 leaves what was measured aside."""
MOST_VECTORS = 4  # of a panel
POINTERS = 8  # rows that general registers point to, beside all else they hold
MOST_ROWS = 12  # of form "t", which reads all its rows through one pointer


@dataclass(frozen=True)
class Choice:
    """The most rows of tiles of so many vectors, in form "n" and "t"."""

    vectors: int
    rows: int
    rows_t: int


def model(registers: int) -> tuple[Choice, ...]:
    """Tiles for panels of 1, 2, ... vectors, as far as wider panels save loads.

    >>> [(c.vectors, c.rows, c.rows_t) for c in model(32)]
    [(1, 8, 12), (2, 8, 12), (3, 8, 9), (4, 6, 6)]
    >>> [(c.vectors, c.rows, c.rows_t) for c in model(16)]
    [(1, 8, 12), (2, 6, 6), (3, 4, 4)]
    """
    choices: list[Choice] = []
    for vectors in range(1, MOST_VECTORS + 1):
        fit = (registers - vectors - 1) // vectors
        choice = Choice(vectors, min(fit, POINTERS), min(fit, MOST_ROWS))
        if choices and _loads(choice) >= _loads(choices[-1]):
            break
        choices.append(choice)
    return tuple(choices)


def _loads(choice: Choice) -> float:
    """Loads for each sum of a tile of form "n"."""
    return (choice.rows + choice.vectors) / (choice.rows * choice.vectors)


def store(processor: tuple[str, ...], choices: tuple[Choice, ...]) -> None:
    """Keep a choice for a processor, named by all that tells it from others; programs started later use it."""
    ObjectCache.default().put(_key(processor), json.dumps([astuple(c) for c in choices]).encode())


def chosen(processor: tuple[str, ...], registers: int) -> tuple[Choice, ...]:
    """The tiles that were measured to be best on a processor, else those of the model."""
    usual = model(registers)
    data = None if os.environ.get(SWITCH) == "0" else ObjectCache.default().get(_key(processor))
    if data is None:
        return usual
    found = tuple(Choice(*numbers) for numbers in json.loads(data))
    fits = all(1 <= n <= registers for c in found for n in (c.rows, c.rows_t))
    return found if fits and [c.vectors for c in found] == [c.vectors for c in usual] else usual


def _key(processor: tuple[str, ...]) -> str:
    return key_of("register tiles", *processor)

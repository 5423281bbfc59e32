"""What it takes to run a compiled step, as plain data: it is written to disk beside the machine code and read back.

A step works on buffers, whose addresses stand in one table, and on chunks of work in phases. What depends on the sizes of
a call (where buffers lie in the arena, how many chunks there are) is found here, from formulas.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from layerkit.engines.llvm.kernel import CHUNKS
from layerkit.errors import GraphError
from layerkit.ir import Array, Dim, Size
from layerkit.ir.text import parse_size
from layerkit.ir.types import bind
from layerkit.records import dataclass

CHUNK_NS = 100_000.0  # aim at chunks of this price
ALIGN = 64


@dataclass(frozen=True)
class Call:
    """A kernel and what it works on.

    Attributes:
        function: its number among the functions of the code.
        slots: its buffers; ``~slot`` where each chunk has a copy of its own.
        counted: the work whose number of chunks it is given; -1: none.
        units: the number of its units, if each call does all of them; -1 if it does those of the chunk.
    """

    function: int
    slots: tuple[int, ...]
    counted: int = -1
    units: Size = -1


@dataclass(frozen=True)
class Work:
    """Units of work, which are cut into chunks.

    Attributes:
        units: how many there are.
        price: nanoseconds of one unit.
        whole: it is one chunk.
        least: units that a chunk should have at least.
        most: chunks that there may be, since each writes a result of its own; 0: any number.
        calls: the kernels that a chunk passes through, one after the other.
    """

    units: Size
    price: float
    whole: bool
    least: int
    most: int
    calls: tuple[Call, ...] = ()

    def chunks(self, sizes: Mapping[str, int]) -> tuple[int, int, int]:
        """(units, units in a chunk, number of chunks)."""
        units = bind(self.units, {**sizes, CHUNKS: 1})
        assert isinstance(units, int)
        if self.whole:
            return units, max(units, 1), 1
        grain = max(1, round(CHUNK_NS / max(self.price, 1e-3)))
        if self.most:
            grain = max(grain, -(-units // self.most))
        grain = max(grain, self.least)
        chunks = max(1, -(-units // grain))
        grain = max(1, -(-units // chunks))  # chunks of nearly equal size
        return units, grain, max(1, -(-units // grain))


@dataclass(frozen=True)
class Slot:
    """A buffer: an entry of the table of addresses.

    Attributes:
        kind: "input", "output", "constant", or "local": a part of the arena.
        index: which input, output or constant.
        size: its bytes.
        first, last: the phases from which and to which its numbers are needed.
        copies: the work of which each chunk has a copy of it; -1: there is one.
        lasting: its numbers stay from call to call.
    """

    kind: str
    index: int
    size: Size
    first: int = 0
    last: int = 0
    copies: int = -1
    lasting: bool = False


@dataclass(frozen=True)
class Layout:
    """Where local buffers lie in the arena for certain sizes: slot -> bytes from its start."""

    offsets: dict[int, int]
    size: int


class _Arena:
    """Blocks of memory that are used in some phases; each lies as low as those that are used at the same time let it."""

    def __init__(self, start: int, most: int) -> None:
        self.top = start
        self._count = 1
        self._blocks = np.zeros((4, most + 1), np.int64)
        """Where each begins and ends, the first and the last phase; in the order of where they begin."""
        self._blocks[:, 0] = start, start, 0, np.iinfo(np.int64).max  # an empty block, below which nothing lies

    def put(self, size: int, first: int, last: int) -> int:
        """The place of another block."""
        n = self._count
        lows, highs, firsts, lasts = self._blocks[:, :n]
        met = ((firsts <= last) & (lasts >= first)).nonzero()[0]
        ends = np.maximum.accumulate(highs[met])
        fits = (lows[met[1:]] - ends[:-1] >= size).nonzero()[0]
        at = int(ends[fits[0] if len(fits) else -1])
        k = int(lows.searchsorted(at))
        self._blocks[:, k + 1 : n + 1] = self._blocks[:, k:n]
        self._blocks[:, k] = at, at + size, first, last
        self._count += 1
        self.top = max(self.top, at + size)
        return at


@dataclass(frozen=True)
class Plan:
    """A compiled step, but for its code.

    Attributes:
        names: the unknown sizes.
        works: what is done, phase by phase.
        phases: how many works each has.
        prologue: so many phases come first that depend on nothing but kept inputs.
        slots: the table of addresses.
        outputs: the slot of each output.
        aliases: outputs that are written over the input of the same state: output -> input.
        early: the inputs that the prologue reads.
        guards: for each phase, slots of numbers that are not 0 if nothing more must be run.
        functions: the names of those of the code.
        constants: the numbers of constants.
    """

    names: tuple[str, ...]
    works: tuple[Work, ...]
    phases: tuple[int, ...]
    prologue: int
    slots: tuple[Slot, ...]
    outputs: tuple[int, ...]
    aliases: Mapping[int, int]
    early: tuple[int, ...]
    guards: tuple[tuple[int, ...], ...]
    functions: tuple[str, ...]
    constants: tuple[Array, ...]

    def price(self, sizes: Mapping[str, int]) -> float:
        """Rough nanoseconds of a run on one core, by the prices of all units."""
        return sum(work.price * work.chunks(sizes)[0] for work in self.works)

    def layout(self, sizes: Mapping[str, int]) -> Layout:
        """Places in one arena for all local buffers; two share memory only if their phases do not meet."""
        known: dict[Size, int] = {}
        wanted: dict[int, int] = {}
        for i, slot in enumerate(self.slots):
            if slot.kind == "local":
                if slot.size not in known:
                    known[slot.size] = bind(slot.size, sizes)  # type: ignore[assignment]
                copies = 1 if slot.copies < 0 else self.works[slot.copies].chunks(sizes)[2]
                wanted[i] = -(-(known[slot.size] * copies + ALIGN) // ALIGN) * ALIGN
        offsets: dict[int, int] = {}
        start = 0
        for i in wanted:
            if self.slots[i].lasting:  # at the same place for all sizes
                offsets[i] = start
                start += wanted[i]
        moving = [i for i in wanted if i not in offsets]
        moving.sort(key=lambda i: (-wanted[i], self.slots[i].first))
        arena = _Arena(start, len(moving))
        for i in moving:
            offsets[i] = arena.put(wanted[i], self.slots[i].first, self.slots[i].last)
        return Layout(offsets, arena.top)

    # On disk

    def encoded(self) -> bytes:
        """The plan as bytes: the length of a text in JSON, the text, the numbers of the constants."""
        data = {
            "names": self.names, "phases": self.phases, "prologue": self.prologue, "outputs": self.outputs,
            "works": self.works, "slots": self.slots,
            "aliases": list(self.aliases.items()), "early": self.early, "guards": self.guards, "functions": self.functions,
            "constants": [c.nbytes for c in self.constants],
        }  # fmt: skip
        text = json.dumps(data, default=_plain).encode()
        return b"".join([len(text).to_bytes(8, "little"), text, *(c.tobytes() for c in self.constants)])

    @classmethod
    def decoded(cls, data: bytes) -> Plan:
        """The plan that ``encoded`` gave these bytes for.

        Raises:
            ValueError: they are no plan.
        """
        try:
            end = 8 + int.from_bytes(data[:8], "little")
            found: dict[str, Any] = json.loads(data[8:end])
            constants = []
            for size in found["constants"]:
                constants.append(np.frombuffer(data, np.uint8, size, end).copy())  # aligned
                end += size
            return cls(
                tuple(found["names"]), tuple(map(_work, found["works"])),
                tuple(found["phases"]), found["prologue"],
                tuple(Slot(s[0], s[1], _size(s[2]), *s[3:]) for s in found["slots"]), tuple(found["outputs"]),
                dict(found["aliases"]), tuple(found["early"]), tuple(map(tuple, found["guards"])), tuple(found["functions"]),
                tuple(constants),
            )  # fmt: skip
        except (KeyError, IndexError, TypeError, AttributeError, GraphError) as error:
            raise ValueError("the data is no plan") from error


def _plain(value: Dim | Work | Call | Slot) -> str | list[Any]:
    return str(value) if isinstance(value, Dim) else list(vars(value).values())


def _work(found: list[Any]) -> Work:
    units, price, whole, least, most, calls = found
    return Work(
        _size(units), price, whole, least, most, tuple(Call(c[0], tuple(c[1]), c[2], _size(c[3])) for c in calls)
    )


def _size(text: int | str) -> Size:
    return text if isinstance(text, int) else _known_size(text)


_known_size = cache(parse_size)

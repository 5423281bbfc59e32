"""What kernels, buffers and their use of each other are: the data that lowering hands to the scheduler.

A kernel is one native function ``k(ptr..., sizes..., begin, end)`` that does the units ``begin..end`` of its work; any
partition of its units gives the same bits. Units are mostly rows of the batch, so kernels that read only the rows they
work on can run one after the other on a few rows while those are in the cache.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any

from layerkit.ir import Size
from layerkit.records import dataclass

CHUNKS = "chunks"  # the axis that counts the partial results of a reduction
MOST_PARTIALS = 16  # partial results of one reduction


@dataclass(eq=False)
class Buffer:
    """A tensor in memory.

    Attributes:
        dtype: of its elements.
        size: number of its elements.
        kind: "input", "output", "constant", or "local" to the program.
        index: which input or output.
        array: the numbers of a constant.
    """

    dtype: str
    size: Size
    kind: str = "local"
    index: int = -1
    array: Any = None
    label: str = ""


@dataclass(frozen=True, eq=False)
class Use:
    """How a kernel uses a buffer.

    Attributes:
        rows: it touches only the elements of its own units: unit ``u`` those from ``u * size / units`` on. None of the
            other units' elements are read or written.
        part: it writes a part that no other kernel with such a use writes.
        chunk: it writes one copy for each range of units it is called with; a following kernel adds them up.
    """

    buffer: Buffer
    rows: bool = False
    chunk: bool = False
    part: bool = False

    def of(self, buffer: Buffer) -> Use:
        """The same use of another buffer."""
        return Use(buffer, self.rows, self.chunk, self.part)


@dataclass(eq=False)
class Kernel:
    """One native function with what it works on.

    Attributes:
        function: its name in the module.
        reads, writes: in the order of its pointers, reads first.
        units: how many units of work there are.
        price: rough nanoseconds of one unit.
        flops: floating-point operations of all units, in products.
        saving: so many of them are made by each that is carried out.
        beside: nanoseconds of what is done beside products, of all units, where that is known.
        least: units that a chunk should have at least, so that what all units share is read seldom enough.
        most: chunks that there may be, if each writes a result of its own.
        origins: layers it came from.
        what: ops in it, as ``explain`` shows them.
        whole: one call has to do all units.
        sized: its numbers depend on unknown sizes, besides those of its tensors.
        guard: its result, if not 0, ends the program before any state is changed.
        counted: the buffer whose number of partial results it is given.
        in_place: (read, written) pairs that may be one memory: an element is read only where it is then written.
    """

    function: str
    reads: list[Use]
    writes: list[Use]
    units: Size
    price: float = 0.0
    flops: Size = 0
    saving: float = 1.0
    beside: Size = 0
    least: int = 1
    most: int = MOST_PARTIALS
    origins: tuple[str, ...] = ()
    what: str = ""
    whole: bool = False
    guard: bool = False
    sized: bool = False
    counted: Buffer | None = None
    in_place: list[tuple[Buffer, Buffer]] = field(default_factory=list)

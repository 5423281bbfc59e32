"""What kernels, buffers and their use of each other are: the data that lowering hands to the scheduler.

A kernel is one native function ``k(ptr..., sizes..., begin, end)`` that does the units ``begin..end`` of its work; any
partition of its units gives the same bits. Units are mostly rows of the batch, so kernels that read only the rows they
work on can run one after the other on a few rows while those are in the cache.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from layerkit.ir import Size


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
        chunk: it writes one copy for each range of units it is called with; a following kernel adds them up.
    """

    buffer: Buffer
    rows: bool = False
    chunk: bool = False


@dataclass(eq=False)
class Kernel:
    """One native function with what it works on.

    Attributes:
        function: its name in the module.
        reads, writes: in the order of its pointers, reads first.
        units: how many units of work there are.
        work: floating-point operations of one unit (the larger of it and what memory traffic costs is its price).
        traffic: bytes of one unit.
        workspace: bytes of scratch memory that it needs, given as its last pointer.
        counts: buffers of one number that hold a count of units, given as integers (chunks of a partial result).
        origins: layers it came from.
        what: ops in it, as ``explain`` shows them.
    """

    function: str
    reads: list[Use]
    writes: list[Use]
    units: Size
    work: float = 0.0
    traffic: float = 0.0
    workspace: int = 0
    shared: int = 0
    origins: tuple[str, ...] = ()
    what: str = ""
    whole: bool = False
    """All units must be done by one call."""
    in_place: list[tuple[Buffer, Buffer]] = field(default_factory=list)
    """(read, written) pairs that may be one memory: each element is read before it is written, and only there."""

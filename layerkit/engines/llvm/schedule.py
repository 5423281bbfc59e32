"""When kernels run: phases, one after the other, of segments, whose chunks may run at the same time.

A segment is a list of kernels over the same units. A chunk takes a range of units through all of them, so that what one
kernel leaves is still in the cache when the next one reads it; this needs kernels that touch nothing but their own
units. Everything else waits for the next phase. Chunks depend on shapes alone, never on the number of threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.lower import CHUNKS
from layerkit.ir import Size
from layerkit.ir.types import bind

CHUNK_NS = 100_000.0  # aim at chunks of this price
TINY_NS = 2_000.0  # cheaper kernels share a segment
ALIGN = 64


@dataclass(eq=False)
class Segment:
    """Kernels that a chunk passes through, one after the other."""

    units: Size
    kernels: list[Kernel]
    whole: bool
    index: int = -1

    @property
    def price(self) -> float:
        """Nanoseconds of one unit."""
        return sum(k.price for k in self.kernels)

    @property
    def has_partials(self) -> bool:
        """Whether it writes one result for each chunk."""
        return any(use.chunk for k in self.kernels for use in k.writes)

    def chunks(self, sizes: Mapping[str, int]) -> tuple[int, int, int]:
        """(units, units in a chunk, number of chunks)."""
        units = bind(self.units, {**sizes, CHUNKS: 1})
        assert isinstance(units, int)
        if self.whole:
            return units, max(units, 1), 1
        grain = max(1, round(CHUNK_NS / max(self.price, 1e-3)))
        if self.has_partials:
            grain = max(grain, -(-units // min(k.most for k in self.kernels)))
        grain = max([grain, *(k.least for k in self.kernels)])
        chunks = max(1, -(-units // grain))
        grain = max(1, -(-units // chunks))  # chunks of nearly equal size
        return units, grain, max(1, -(-units // grain))


@dataclass(eq=False)
class Schedule:
    """Phases of segments, and the phase in which each kernel runs."""

    phases: list[list[Segment]]
    phase_of: dict[Kernel, int]
    segments: list[Segment] = field(default_factory=list)
    prologue: int = 0
    """So many phases come first that depend on nothing but kept inputs: they run again only when those changed."""
    lasting: frozenset[Buffer] = frozenset()
    """What those phases compute."""
    aliases: dict[int, int] = field(default_factory=dict)
    """Outputs that are written over the input of the same state: output -> input."""

    def segment_of(self, kernel: Kernel) -> Segment:
        """The segment of a kernel."""
        return next(s for s in self.segments if kernel in s.kernels)


def _is_local(a: Kernel, first: Use, b: Kernel, second: Use) -> bool:
    if first.part and second.part:
        return True
    return first.rows and second.rows and not first.chunk and a.units == b.units and not a.whole and not b.whole


def schedule(kernels: Sequence[Kernel], donated: Mapping[int, int], kept: Collection[int] = ()) -> Schedule:
    """Assign phases.

    Args:
        kernels: in an order that respects what they need.
        donated: outputs that may be written over an input (its old numbers are not needed by anybody else).
        kept: inputs that stay the same from call to call, mostly.
    """
    writers = {u.buffer.index: k for k in kernels for u in k.writes if u.buffer.kind == "output"}
    aliases = {o: i for o, i in donated.items() if o in writers and _may_overwrite(writers[o], o, i)}
    while True:
        found = _phases(kernels, aliases)
        if found is not None:
            phase_of = found
            break
        aliases.popitem()
    early = _prologue(kernels, set(kept) - set(aliases.values()))
    first = max((phase_of[k] + 1 for k in early), default=0)
    phase_of = {k: p if k in early else p + first for k, p in phase_of.items()}
    phases: dict[int, dict[tuple[str, Size], Segment]] = defaultdict(dict)
    segments: list[Segment] = []
    for k in kernels:
        key: tuple[str, Size] = ("rows", k.units)
        if k.whole:
            key = ("tiny", 1) if k.price < TINY_NS else (f"whole {len(segments)}", 1)
        in_phase = phases[phase_of[k]]
        if key not in in_phase:
            in_phase[key] = Segment(1 if k.whole else k.units, [], k.whole, len(segments))
            segments.append(in_phase[key])
        in_phase[key].kernels.append(k)
    order = sorted(phases)
    lasting = frozenset(use.buffer for k in early for use in k.writes)
    prologue = sum(p < first for p in order)
    return Schedule([list(phases[p].values()) for p in order], phase_of, segments, prologue, lasting, aliases)


def _prologue(kernels: Sequence[Kernel], kept: Collection[int]) -> set[Kernel]:
    """Kernels that need nothing but kept inputs and constants, and whose results have one size."""
    late: set[Buffer] = set()
    early: set[Kernel] = set()
    for k in kernels if kept else ():
        needs = [u.buffer for u in k.reads]
        is_kept = all(b.kind == "constant" or (b.index in kept if b.kind == "input" else b not in late) for b in needs)
        plain = all(u.buffer.kind == "local" and isinstance(u.buffer.size, int) and not u.chunk for u in k.writes)
        is_free = not k.guard and not k.sized and k.counted is None
        if is_kept and plain and is_free and all(u.buffer not in late for u in k.writes):
            early.add(k)
        else:
            late |= {u.buffer for u in k.writes}
    # a buffer that a late kernel writes too is no lasting one
    return {k for k in early if all(u.buffer not in late for u in (*k.writes, *k.reads))}


def _may_overwrite(writer: Kernel, output: int, input_: int) -> bool:
    """Whether the kernel that writes the output reads the input element by element, or not at all."""
    if not any(u.buffer.kind == "input" and u.buffer.index == input_ for u in writer.reads):
        return True
    pairs = [(a.kind, a.index, b.kind, b.index) for a, b in writer.in_place]
    return ("input", input_, "output", output) in pairs


def _phases(kernels: Sequence[Kernel], aliases: Mapping[int, int]) -> dict[Kernel, int] | None:
    """The earliest phase of each kernel; None if overwriting inputs makes a circle."""
    phase: dict[Kernel, int] = {}
    writers: dict[Buffer, list[tuple[Kernel, Use]]] = defaultdict(list)
    readers: dict[int, list[tuple[Kernel, Use]]] = defaultdict(list)
    guards = [k for k in kernels if k.guard]
    for k in kernels:
        for use in k.reads:
            if use.buffer.kind == "input":
                readers[use.buffer.index].append((k, use))
        for use in k.writes:
            writers[use.buffer].append((k, use))
    position = {k: i for i, k in enumerate(kernels)}
    for _ in range(len(kernels) + 2):  # until nothing moves; overwriting inputs adds needs against the order
        changed = False
        for k in kernels:
            earliest = 0
            for use in (*k.reads, *k.writes):
                for other, written in writers[use.buffer]:
                    if other is not k and position[other] < position[k]:
                        earliest = max(earliest, phase.get(other, 0) + (not _is_local(other, written, k, use)))
            for use in k.writes:
                if use.buffer.kind != "output" or use.buffer.index not in aliases:
                    continue
                for other, read in readers[aliases[use.buffer.index]]:
                    if other is not k:
                        is_safe = _is_local(other, read, k, use) and position[other] < position[k]
                        earliest = max(earliest, phase.get(other, 0) + (not is_safe))
                earliest = max([earliest, *(phase.get(g, 0) + 1 for g in guards if g is not k)])
            if phase.get(k, -1) < earliest:
                phase[k] = earliest
                changed = True
        if not changed:
            return phase
        if max(phase.values()) > len(kernels):
            return None
    return None


# Memory --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """Where local buffers lie in the arena for certain sizes."""

    offsets: dict[Buffer, int]
    size: int


def buffer_bytes(buffer: Buffer, sizes: Mapping[str, int], chunks: int = 1) -> int:
    """Bytes of a buffer."""
    count = bind(buffer.size, sizes)
    assert isinstance(count, int)
    return count * numpy_dtype(buffer.dtype).itemsize * chunks


def plan(found: Schedule, sizes: Mapping[str, int], held: Sequence[Buffer] = ()) -> Layout:
    """Places in one arena for all local buffers; two share memory only if their phases do not meet.

    ``held`` are buffers that are read after the run.
    """
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    copies: dict[Buffer, int] = {}
    for k, phase in found.phase_of.items():
        for use in (*k.reads, *k.writes):
            if use.buffer.kind == "local":
                first[use.buffer] = min(first.get(use.buffer, phase), phase)
                last[use.buffer] = max(last.get(use.buffer, phase), phase)
                if use.chunk:
                    copies[use.buffer] = found.segment_of(k).chunks(sizes)[2]
    for b in held:
        last[b] = len(found.phase_of)
    wanted = {b: _align(buffer_bytes(b, sizes, copies.get(b, 1)) + ALIGN) for b in first}
    offsets: dict[Buffer, int] = {}
    start = 0
    for b in first:
        if b in found.lasting:  # at the same place for all sizes
            offsets[b] = start
            start += wanted[b]
    placed: list[Buffer] = []
    for b in sorted((b for b in first if b not in found.lasting), key=lambda b: (-wanted[b], first[b])):
        taken = sorted(
            (offsets[o], offsets[o] + wanted[o]) for o in placed if first[o] <= last[b] and first[b] <= last[o]
        )
        at = start
        for low, high in taken:
            if at + wanted[b] <= low:
                break
            at = max(at, high)
        offsets[b] = at
        placed.append(b)
    return Layout(offsets, max((offsets[b] + wanted[b] for b in placed), default=start))


def _align(size: int) -> int:
    return -(-size // ALIGN) * ALIGN

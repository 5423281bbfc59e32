"""When kernels run: phases, one after the other, of segments, whose chunks may run at the same time.

A segment is a list of kernels over the same units. A chunk takes a range of units through all of them, so that what one
kernel leaves is still in the cache when the next one reads it; this needs kernels that touch nothing but their own
units. Everything else waits for the next phase. Chunks depend on shapes alone, never on the number of threads.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from functools import cached_property

from layerkit.engines.llvm.kernel import Buffer, Kernel, Use
from layerkit.engines.llvm.runtime.plan import Work
from layerkit.ir import Size
from layerkit.records import dataclass

TINY_NS = 2_000.0  # cheaper kernels share a segment


@dataclass(eq=False)
class Segment:
    """Kernels that a chunk passes through, one after the other."""

    units: Size
    kernels: list[Kernel]
    whole: bool

    @property
    def price(self) -> float:
        """Nanoseconds of one unit."""
        return sum(k.price for k in self.kernels)

    @property
    def has_partials(self) -> bool:
        """Whether it writes one result for each chunk."""
        return any(use.chunk for k in self.kernels for use in k.writes)

    def work(self) -> Work:
        """Its units, and how they are cut into chunks."""
        least, most = max(k.least for k in self.kernels), min(k.most for k in self.kernels)
        return Work(self.units, self.price, self.whole, least, most if self.has_partials else 0)


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

    @cached_property
    def segment_of(self) -> dict[Kernel, Segment]:
        """The segment of each kernel."""
        return {k: s for s in self.segments for k in s.kernels}


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
    order = {p: i for i, p in enumerate(sorted(set(phase_of.values())))}
    phase_of = {k: order[p] for k, p in phase_of.items()}  # what moved to the front leaves no gaps
    phases: dict[int, dict[tuple[str, Size], Segment]] = defaultdict(dict)
    segments: list[Segment] = []
    for k in kernels:
        key: tuple[str, Size] = ("rows", k.units)
        if k.whole:
            key = ("tiny", 1) if k.price < TINY_NS else (f"whole {len(segments)}", 1)
        in_phase = phases[phase_of[k]]
        if key not in in_phase:
            in_phase[key] = Segment(1 if k.whole else k.units, [], k.whole)
            segments.append(in_phase[key])
        in_phase[key].kernels.append(k)
    lasting = frozenset(use.buffer for k in early for use in k.writes)
    prologue = max((phase_of[k] + 1 for k in early), default=0)
    return Schedule([list(phases[p].values()) for p in sorted(phases)], phase_of, segments, prologue, lasting, aliases)


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

"""Partial results of a reduction, one for each range of units, become one result: chunk after chunk, so in a fixed order."""

from __future__ import annotations

from collections.abc import Sequence

from layerkit.dtypes import numpy_dtype
from layerkit.engines.llvm.codegen.builder import INT, Function, Index, Module, Reg, literal, size_registers, vector
from layerkit.engines.llvm.codegen.target import Target
from layerkit.engines.llvm.kernel import CHUNKS
from layerkit.engines.llvm.loops import elements
from layerkit.engines.llvm.loops.writer import Sizes
from layerkit.ir import Size

SUMS = 8  # registers of results


def write(
    module: Module, target: Target, function: str, dtype: str, count: Size, block: Size, names: Sequence[str]
) -> str:
    """``(partial, out, sizes..., chunks, begin, end)``: ``block`` results of ``count`` for each unit."""
    key = ("combine", function, dtype, count, block, tuple(names))
    return module.once(key, lambda: _write(module, target, function, dtype, count, block, names))


def _write(
    module: Module, target: Target, function: str, dtype: str, count: Size, block: Size, names: Sequence[str]
) -> str:
    partial, out = Reg("%partial", "ptr"), Reg("%out", "ptr")
    f = module.kernel([partial, out], (*names, CHUNKS))
    registers = size_registers((*names, CHUNKS))
    sizes = Sizes(f, registers)
    bounds = [f.mul(Reg(n, INT), sizes(block)) for n in ("%begin", "%end")]
    key = ("combine.columns", function, dtype)
    name = module.once(key, lambda: _write_columns(module, target, function, dtype))
    f.run(name, [partial, out, *map(f.reg, (sizes(count), registers[CHUNKS], *bounds))])
    return module.add(f, "combine")


def _write_columns(module: Module, target: Target, function: str, dtype: str) -> str:
    """``(partial, out, count, chunks, begin, end)``: results begin..end."""
    partial, out = Reg("%partial", "ptr"), Reg("%out", "ptr")
    count, chunks, begin, end = (Reg(f"%{n}", INT) for n in ("count", "chunks", "begin", "end"))
    f = module.function([partial, out, count, chunks, begin, end])
    lanes, kind = target.lanes(max(4, numpy_dtype(dtype).itemsize)), elements.memory_type(dtype)
    neutral = literal(elements.reduce_identity(function, dtype), vector(elements.TYPES[dtype], lanes))

    def columns(first: Index, vectors: int, mask: Reg | None) -> None:
        with f.loop(0, chunks, 1, [neutral] * vectors) as chunk:
            line = f.at(partial, f.add(f.mul(chunk.index, count), first), kind)
            for v, before in enumerate(chunk.carried):
                value = elements.load(f, f.at(line, v * lanes, kind), dtype, lanes, mask)
                chunk.next.append(elements.combine(f, function, before, value, dtype))
        for v, value in enumerate(chunk.results):
            elements.store(f, value, f.at(f.at(out, first, kind), v * lanes, kind), dtype, mask)

    whole = _whole(f, begin, end, SUMS * lanes)
    with f.loop(begin, whole, SUMS * lanes) as loop:
        columns(loop.index, SUMS, None)
    with f.loop(whole, end, lanes) as loop:
        columns(loop.index, 1, f.mask(f.sub(end, loop.index), lanes) if lanes > 1 else None)
    return module.add(f, "combine.columns")


def _whole(f: Function, begin: Reg, end: Reg, step: int) -> Index:
    """Where whole steps from ``begin`` on stop."""
    return f.add(begin, f.mul(f.div(f.sub(end, begin), step), step))

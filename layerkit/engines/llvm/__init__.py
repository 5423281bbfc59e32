"""The LLVM engine: a graph becomes one native function."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from layerkit.engines.base import Cost
from layerkit.engines.llvm.codegen.machine import peak
from layerkit.engines.llvm.codegen.target import host
from layerkit.engines.llvm.lowering import (  # their rules
    attention,
    pooling,
    products,
    rules,
    running,
    scan,
    sorting,
)
from layerkit.engines.llvm.runtime.compilation import Compilation, sources
from layerkit.engines.llvm.runtime.cost import predict
from layerkit.engines.llvm.runtime.program import LLVMProgram
from layerkit.engines.llvm.runtime.threads import threads
from layerkit.ir import Graph, Op, TensorType
from layerkit.passes import DEFAULT, Pipeline


class LLVMEngine:
    """Machine code through llvmlite; no compiler has to be installed. Its bits do not depend on the number of threads."""

    name = "llvm"

    def supports(self, op: Op, *inputs: TensorType) -> bool:
        from layerkit.engines.llvm.loops.fusion import LOOPED
        from layerkit.engines.llvm.lowering.lower import RULES

        return isinstance(op, LOOPED) or type(op) in RULES

    def pipeline(self) -> Pipeline:
        return Pipeline.parse(f"{DEFAULT},rows")

    def cost(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        donated: Mapping[int, int] | None = None,
        *,
        is_outline: bool = False,
    ) -> Cost:
        pipeline = Pipeline.parse("factor") if is_outline else self.pipeline()
        return predict(
            Compilation(graph, pipeline, host(), donated or {}), sizes, "outline" if is_outline else "kernels"
        )

    def state(self) -> str | None:
        code = sources()
        return None if code is None else repr((code, host(), threads(), peak()))

    def compile(
        self, graph: Graph, donated: Mapping[int, int] | None = None, kept: Collection[int] = ()
    ) -> LLVMProgram:
        return LLVMProgram(Compilation(graph, self.pipeline(), host(), donated or {}, tuple(kept)))


__all__ = ["LLVMEngine", "LLVMProgram", "attention", "pooling", "products", "rules", "running", "scan", "sorting"]

"""Passes one after the other, written as text: ``fold,simplify,pads,factor,share,join,hoist,share,prune``."""

from __future__ import annotations

from layerkit.errors import UnknownNameError, did_you_mean
from layerkit.ir import Graph, verify
from layerkit.passes.base import Pass
from layerkit.passes.factor import Factor
from layerkit.passes.fold import Fold
from layerkit.passes.hoist import Hoist
from layerkit.passes.join import Join
from layerkit.passes.pads import Pads
from layerkit.passes.prune import Prune
from layerkit.passes.rows import Rows
from layerkit.passes.share import Share
from layerkit.passes.simplify import Simplify
from layerkit.records import dataclass

PASSES: dict[str, type[Pass]] = {p.name: p for p in (Fold, Simplify, Pads, Factor, Share, Join, Hoist, Prune, Rows)}
DEFAULT = "fold,simplify,pads,factor,share,join,hoist,share,prune"


@dataclass(frozen=True)
class Pipeline:
    """Passes in order; ``check`` verifies the graph after each (tests, debugging)."""

    passes: tuple[Pass, ...]
    check: bool = False

    @classmethod
    def parse(cls, text: str = DEFAULT, check: bool = False) -> Pipeline:
        """The pipeline that ``text`` names.

        Raises:
            UnknownNameError: there is no pass of that name.
        """
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in PASSES:
                raise UnknownNameError(f"there is no pass '{name}'.", got=name, fix=did_you_mean(name, PASSES))
        return cls(tuple(PASSES[name]() for name in names), check)

    def run(self, graph: Graph) -> Graph:
        """The graph after all passes."""
        for each in self.passes:
            graph = each.run(graph)
            if self.check:
                verify(graph)
        return graph

    def __str__(self) -> str:
        return ",".join(map(str, self.passes))

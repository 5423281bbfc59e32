"""Gradients of large tables, of which a step uses few rows: only those rows are kept.

``scatter_add`` fills a whole table, most of it with zeros, that is then read once more. Instead the rows that are added
are collected in a table no longer than the list of their numbers, and whoever reads the large one finds in a list of
places which row of the small one it is, or none. The sums are those of before, to the bit.
"""

from __future__ import annotations

from layerkit.ir import Graph, Node, Size, Value, apply, origin, product, usual
from layerkit.ops.indexing import Gather, LastPlace, ScatterAdd
from layerkit.ops.shape import Reshape
from layerkit.passes.base import Pass, rewrite
from layerkit.records import dataclass

WIDE, LARGE = 8, 1 << 20  # numbers in a row, and in a table, from which this pays: the table fits no cache


@dataclass(frozen=True)
class Rows(Pass):
    """Keep the rows that a ``scatter_add`` touches, where they are at most half of its table."""

    name = "rows"

    def run(self, graph: Graph) -> Graph:
        return rewrite(graph, _rule)


def _rule(node: Node) -> tuple[Value, ...] | None:
    op = node.op
    if not isinstance(op, ScatterAdd) or not op.checked or not isinstance(op.rows, int):
        return None
    updates, numbers = node.inputs
    width, count = product(updates.shape[len(numbers.shape) :]), product(numbers.shape)
    if not isinstance(width, int) or width < WIDE or width * op.rows < LARGE or 2 * usual(count) > op.rows:
        return None
    with origin(node.origin):
        return (_touched(updates, numbers, count, op.rows),)


def _touched(updates: Value, numbers: Value, count: Size, rows: int) -> Value:
    flat = apply(Reshape((count,)), numbers)
    added = apply(Reshape((count, *updates.shape[len(numbers.shape) :])), updates)
    places = apply(LastPlace(rows), flat)
    sums = apply(ScatterAdd(count, checked=False), added, apply(Gather(checked=False), places, flat))
    found: Value = apply(Gather(checked=False), sums, places)
    return found

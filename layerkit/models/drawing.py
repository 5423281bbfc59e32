"""The graph of a model as a picture (SVG): a box for each call of a layer, frames around blocks.

The boxes are placed by igraph's layout for layered graphs (Sugiyama, Tagawa and Toda 1981; the extra ``plot``); a deep model
is cut into columns where a single tensor passes, so that the picture is no strip. Names like ``stage1/conv`` put ``conv``
into a frame ``stage1``.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import field
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from layerkit.errors import MissingExtraError, StateError
from layerkit.ir import Value
from layerkit.layers.recorded import LayerCall
from layerkit.models.summary import show_outputs, show_sizes
from layerkit.records import dataclass

HEIGHT, GAP = 36, 30  # of a box, and below it
SIDE = 24  # between boxes side by side
COLUMN = 48  # between columns
MARGIN = 24
LETTER = 6.1  # width of a letter of 11 px, about
WIDEST = 44  # letters
FRAME = 7  # between a frame and what is in it
LABEL = 13  # above a frame's content, for its name
ASPECT = 1.3  # height of a picture by its width, at which to aim

COLOURS = {
    "input": "#e8e8e8", "conv": "#cfe2f8", "dense": "#d5ecd4", "normalization": "#f1f1f1", "activation": "#fdeccc",
    "pooling": "#dcd9f3", "recurrent": "#f8d7e3", "cells": "#f8d7e3", "conv_lstm": "#f8d7e3", "attention": "#fbd9cf",
    "merging": "#f7f3c4", "features": "#d4efee", "regularization": "#f1f1f1", "reshaping": "#ececec",
}  # fmt: skip
"""By the family of the layer: the module that it is in."""


@dataclass(eq=False)
class Box:
    """A call of a layer, or an op.

    Attributes:
        name: of the layer, with the blocks that it is in.
        kind: its class.
        shape: of what it makes.
        parameters: of the layer, at its first call.
        family: what its colour tells.
        reads: the boxes before it.
        x, y: its middle, and its upper edge.
    """

    name: str
    kind: str
    shape: str
    parameters: int
    family: str
    reads: list[Box] = field(default_factory=list)
    rank: int = 0
    x: float = 0.0
    y: float = 0.0

    @property
    def blocks(self) -> tuple[str, ...]:
        """The names of the blocks around it, outermost first, each with those around it."""
        parts = self.name.split("/")[:-1]
        return tuple("/".join(parts[: i + 1]) for i in range(len(parts)))

    @property
    def lines(self) -> tuple[str, str, str]:
        """What stands in it: its name and, on the right, its parameters; its class and shape."""
        count = f"{self.parameters:,}" if self.parameters else ""
        return _short(self.name.split("/")[-1]), count, _short(f"{self.kind} {self.shape}")

    @property
    def letters(self) -> int:
        """The letters of its longer line."""
        name, count, what = self.lines
        return max(len(name) + len(count) + 3, len(what))


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST // 2 - 1]}…{text[-WIDEST // 2 :]}"


def draw(model: Any) -> str:
    """The picture as SVG text.

    Raises:
        StateError: the model has no graph of layers.
        MissingExtraError: igraph is not installed.
    """
    if model._graph is None:
        raise StateError(
            f"'{model.name}' has no graph of layers to draw.", expected="a functional or Sequential model that is built",
            got=type(model).__name__,
        )  # fmt: skip
    boxes = boxes_of(model)
    width = max(box.letters for box in boxes) * LETTER + 16
    paths = _place(boxes, width)
    return _svg(model.name, boxes, paths, width)


def boxes_of(model: Any) -> list[Box]:
    """The boxes of a model, each after those that it reads."""
    graph = model._graph
    names = {layer: name for name, layer in model.children()}
    made: dict[Value, Box] = {}
    counted: set[Any] = set()
    boxes = []
    for value, layer in zip(graph.inputs, graph.input_layers, strict=True):
        made[value] = Box(names.get(layer, layer.name or "input"), "Input", show_sizes(value.shape), 0, "input")
        boxes.append(made[value])
    for node in graph.nodes:
        if not node.inputs:
            continue
        shape = show_outputs(node)
        if isinstance(node.op, LayerCall):
            layer = node.op.layer
            family = type(layer).__module__.rsplit(".", 1)[-1]
            parameters = 0 if layer in counted else layer.count_params()
            counted.add(layer)
            box = Box(names.get(layer, layer.name), type(layer).__name__, shape, parameters, family)
        else:
            box = Box(node.op.word, "op", shape, 0, "op")
        box.reads = list(dict.fromkeys(made[x] for x in node.inputs if x in made))
        box.rank = 1 + max((b.rank for b in box.reads), default=-1)
        boxes.append(box)
        made.update(dict.fromkeys(node.outputs, box))
    return boxes


# Places ---------------------------------------------------------------------------------------------------------------

Path = list[tuple[float, float]]


def _place(boxes: Sequence[Box], width: float) -> list[Path]:
    """Set the places of all boxes; the lines between them, as points."""
    try:
        import igraph
    except ImportError as error:
        raise MissingExtraError(
            "drawing a model needs igraph.", expected="the extra 'plot'", got="not installed",
            fix='pip install "layerkit[plot]"',
        ) from error  # fmt: skip
    number = {box: i for i, box in enumerate(boxes)}
    ranks = [box.rank for box in boxes]
    hops: list[tuple[int, int]] = []
    for box in boxes:
        for before in box.reads:
            i = number[before]
            for rank in range(before.rank + 1, box.rank):  # a place on the way, so that the line goes around boxes
                ranks.append(rank)
                hops.append((i, len(ranks) - 1))
                i = len(ranks) - 1
            hops.append((i, number[box]))
    graph = igraph.Graph(n=len(ranks), edges=hops, directed=True)
    layout = graph.layout_sugiyama(layers=ranks, hgap=width + SIDE, vgap=1, maxiter=200)
    places = [(layout[i][0], rank) for i, rank in enumerate(ranks)]
    column_of, shift, edges = _columns(places, hops, _spans(boxes, 1 + max(ranks)), width)
    tops = _tops(boxes, column_of)

    def at(i: int) -> tuple[float, float]:
        x, rank = places[i]
        return x + shift[column_of[rank]], tops[rank]

    for box, i in number.items():
        box.x, box.y = at(i)
    return _lines(hops, len(boxes), at, [column_of[rank] for _, rank in places], edges)


def _spans(boxes: Sequence[Box], ranks: int) -> list[int]:
    """How many frames reach from each rank to the next."""
    members: dict[str, list[int]] = defaultdict(list)
    for box in boxes:
        for block in box.blocks:
            members[block].append(box.rank)
    return [sum(min(own) <= rank < max(own) for own in members.values()) for rank in range(ranks)]


def _columns(
    places: Sequence[tuple[float, int]], hops: Sequence[tuple[int, int]], spans: Sequence[int], width: float
) -> tuple[list[int], list[float], list[float]]:
    """The column of each rank; how far each column lies to the right, and where it begins."""
    ranks = 1 + max(rank for _, rank in places)
    passing: list[set[int]] = [set() for _ in range(ranks)]  # what lines between a rank and the next begin at
    for a, _ in hops:
        passing[places[a][1]].add(a)
    spread = max(x for x, _ in places) - min(x for x, _ in places) + width + COLUMN
    count = max(1, round(math.sqrt(ranks * (HEIGHT + GAP) / (ASPECT * spread))))
    cuts: list[int] = []
    for i in range(1, count):
        wanted = round(i * ranks / count)
        near = [r for r in range(ranks - 1) if len(passing[r]) == 1 and abs(r + 1 - wanted) <= ranks / count / 3]
        if near:  # where it cuts the fewest frames
            cuts.append(min(near, key=lambda r: (spans[r], abs(r + 1 - wanted))))
    column_of = [sum(rank > cut for cut in cuts) for rank in range(ranks)]
    shift: list[float] = []
    edges: list[float] = []
    edge = float(MARGIN)
    for column in range(len(set(column_of))):
        own = [x for x, rank in places if column_of[rank] == column]
        edges.append(edge)
        shift.append(edge - min(own) + width / 2 + COLUMN / 2)
        edge += max(own) - min(own) + width + COLUMN
    return column_of, shift, edges


def _tops(boxes: Sequence[Box], column_of: Sequence[int]) -> list[float]:
    """Where each rank begins: below the one before, with room for the names of frames that begin there."""
    first: dict[str, int] = {}
    for box in boxes:
        for block in box.blocks:
            first[block] = min(first.get(block, box.rank), box.rank)
    begins: dict[int, int] = defaultdict(int)
    for rank in first.values():
        begins[rank] += 1
    for rank in range(1, len(column_of)):  # a frame that is cut has its name again in the next column
        if column_of[rank] != column_of[rank - 1]:
            begins[rank] = max((len(b.blocks) for b in boxes if b.rank == rank), default=0)
    tops: list[float] = []
    y = float(MARGIN + 20)
    for rank, column in enumerate(column_of):
        if rank and column != column_of[rank - 1]:
            y = float(MARGIN + 20)
        y += begins[rank] * LABEL
        tops.append(y)
        y += HEIGHT + GAP
    return tops


def _lines(
    hops: Sequence[tuple[int, int]], count: int, at: Any, column: Sequence[int], edges: Sequence[float]
) -> list[Path]:
    """A line for each edge: through the places between distant boxes, around into the next column."""
    following: dict[int, list[int]] = defaultdict(list)
    for a, b in hops:
        following[a].append(b)
    paths = []
    for start in range(count):
        for first in following[start]:
            x, y = at(start)
            path: Path = [(x, y + HEIGHT)]
            before, i = start, first
            while True:
                x, y = at(i)
                if column[i] != column[before]:
                    bottom, gutter = path[-1][1] + GAP * 0.7, edges[column[i]]
                    path += [(path[-1][0], bottom), (gutter, bottom), (gutter, y - GAP * 0.8), (x, y - GAP * 0.8)]
                path.append((x, y))
                if i < count:
                    break
                path.append((x, y + HEIGHT))
                before, i = i, following[i][0]
            paths.append(path)
    return paths


# Text -----------------------------------------------------------------------------------------------------------------

STYLE = """
text { font: 11px "DejaVu Sans", Verdana, sans-serif; fill: #222; }
.name { font-weight: bold; } .count { text-anchor: end; } .what { fill: #555; } .frame { fill: none; stroke: #888; stroke-dasharray: 4 3; }
.label { fill: #666; font-style: italic; } .box { stroke: #777; } .line { fill: none; stroke: #666; stroke-width: 1.2; }
"""


def _svg(name: str, boxes: Sequence[Box], paths: Sequence[Path], width: float) -> str:
    right = max(max(b.x + width / 2 for b in boxes), max((x for p in paths for x, _ in p), default=0)) + MARGIN
    bottom = max(max(b.y + HEIGHT for b in boxes), max((y for p in paths for _, y in p), default=0)) + MARGIN
    title = f"{name}: {len(boxes)} layers, {sum(b.parameters for b in boxes):,} parameters"
    right = max(right, len(title) * (LETTER + 1.2) + 2 * MARGIN)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{right:.0f}" height="{bottom:.0f}" viewBox="0 0 {right:.0f} {bottom:.0f}">',
        f"<title>{escape(name)}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#666"/></marker></defs>',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text class="name" x="{MARGIN}" y="{MARGIN}">{escape(title)}</text>',
        *_frames(boxes, width),
        *(f'<path class="line" marker-end="url(#tip)" d="{_curve(path)}"/>' for path in paths),
        *(_box(box, width) for box in boxes),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _box(box: Box, width: float) -> str:
    name, count, what = (escape(line) for line in box.lines)
    tip = escape(f"{box.name} ({box.kind}) {box.shape}, {box.parameters:,} parameters")
    left = box.x - width / 2
    return (
        f'<g data-layer={quoteattr(box.name)}><title>{tip}</title><rect class="box" x="{left:.1f}" y="{box.y:.1f}" '
        f'width="{width:.1f}" height="{HEIGHT}" rx="4" fill="{COLOURS.get(box.family, "#ffffff")}"/>'
        f'<text class="name" x="{left + 7:.1f}" y="{box.y + 14:.1f}">{name}</text>'
        f'<text class="count" x="{left + width - 7:.1f}" y="{box.y + 14:.1f}">{count}</text>'
        f'<text class="what" x="{left + 7:.1f}" y="{box.y + 29:.1f}">{what}</text></g>'
    )


def _frames(boxes: Sequence[Box], width: float) -> list[str]:
    """A frame for each block, outermost first; one for each column that the block has boxes in."""
    members: dict[str, list[Box]] = defaultdict(list)
    for box in boxes:
        for block in box.blocks:
            members[block].append(box)
    shown = []
    for block, own in sorted(members.items(), key=lambda item: item[0].count("/")):
        inside = max(len(b.blocks) for b in own) - block.count("/") - 1  # frames in this one
        pad = FRAME * (1 + inside)
        for part in _by_column(own):
            left, right = min(b.x for b in part) - width / 2 - pad, max(b.x for b in part) + width / 2 + pad
            top, low = min(b.y for b in part) - LABEL * inside - pad - LABEL + 4, max(b.y for b in part) + HEIGHT + pad
            shown.append(
                f'<rect class="frame" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{low - top:.1f}" rx="6"/>'
                f'<text class="label" x="{left + 5:.1f}" y="{top + 11:.1f}">{escape(block.split("/")[-1])}</text>'
            )
    return shown


def _by_column(boxes: Sequence[Box]) -> list[list[Box]]:
    """Boxes in order of rank, cut where the next one lies higher."""
    parts: list[list[Box]] = []
    for box in sorted(boxes, key=lambda b: b.rank):
        if not parts or box.y < parts[-1][-1].y:
            parts.append([])
        parts[-1].append(box)
    return parts


def _curve(path: Path) -> str:
    """A line through points: straight down through boxes' places, bent between them."""
    (x, y), *rest = path
    text = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in rest:
        if x == next_x or y == next_y:
            text.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            middle = (y + next_y) / 2
            text.append(f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}")
        x, y = next_x, next_y
    return " ".join(text)

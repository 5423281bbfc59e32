"""Charts as SVG: lines, dots, bars in a frame with axes.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision tell apart; they
stand in the page's style, one set for light and one for dark screens. Every mark has a title that shows under the pointer.
A chart is as wide as a phone, so that its letters are legible there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from autoarch.report.axes import (
    HEIGHT,
    WIDTH,
    Frame,
    Scale,
    apart,
    can_be_shown,
    drawn,
    frame,
    is_wide,
    px,
    scale,
    short,
)
from autoarch.report.markup import Markup, element

COLOURS = 6  # in the style of the page: c0 ... c5
SHAPES = ("circle", "square", "triangle", "diamond")
MOST_POINTS = 120  # of a line; it is no wider than a few hundred pixels

Point = tuple[float, float]


def draw(frame: Frame, marks: Iterable[Markup], note: str | None = None) -> Markup:
    """The chart as a figure with its title, and a note below."""
    svg = element(
        "svg", element("title", frame.title), drawn(frame), *marks, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_label=frame.title,
    )  # fmt: skip
    caption = element("figcaption", element("b", frame.title), f" {note}" if note else None)
    return element("figure", caption, svg)


def _inside(frame: Frame, points: Iterable[Point]) -> list[Point]:
    """The pixels of the points that can be shown."""

    def fits(scale: Scale, value: float) -> bool:
        return can_be_shown(value, scale.is_log) and scale.low <= value <= scale.high

    return [(frame.x(x), frame.y(y)) for x, y in points if fits(frame.x, x) and fits(frame.y, y)]


def line(frame: Frame, points: Sequence[Point], title: str | None = None, kind: str = "line") -> Markup | None:
    """A line through the points; one point alone becomes a dot."""
    every = -(-len(points) // MOST_POINTS)
    if every > 1:
        points = [*points[:-1:every], points[-1]]
    shown = _inside(frame, points)
    if not shown:
        return None
    path = "M" + "L".join(f"{px(x)} {px(y)}" for x, y in shown)
    tip = element("title", title) if title else None
    return element("path", tip, d=path if len(shown) > 1 else f"{path}h.1", class_=kind)


def dot(frame: Frame, point: Point, title: str | None = None, *, colour: int = 0, hollow: bool = False, large: bool = False) -> Markup | None:  # fmt: skip
    """A mark; its shape tells the colour too."""
    shown = _inside(frame, [point])
    if not shown:
        return None
    (x, y), r = shown[0], 7.0 if large else 4.0
    tip = element("title", title) if title else None
    kind = f"dot c{colour % COLOURS}" + (" hollow" if hollow else "") + (" large" if large else "")
    return element("path", tip, d=_shape(SHAPES[colour % len(SHAPES)], x, y, r), class_=kind)


def _shape(shape: str, x: float, y: float, r: float) -> str:
    if shape == "circle":
        return f"M{px(x - r)} {px(y)}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 -{2 * r:g} 0z"
    corners = {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": [(0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
        "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    }[shape]
    return "M" + "L".join(f"{px(x + a * r)} {px(y + b * r)}" for a, b in corners) + "z"


def legend(names: Sequence[str], *, extra: Iterable[Markup] = ()) -> Markup:
    """What the colours and shapes mean."""
    entries = [
        element(
            "span",
            element(
                "svg",
                element("path", d=_shape(SHAPES[i % len(SHAPES)], 7, 7, 4.5), class_=f"dot c{i % COLOURS}"),
                viewBox="0 0 14 14",
                aria_hidden="true",
                class_="key",
            ),
            name,
        )
        for i, name in enumerate(names)
    ]
    return element("p", *entries, *extra, class_="legend")


def key(kind: str, name: str) -> Markup:
    """A line of a kind, and what it means, for a legend."""
    path = element("path", d="M0 7H24", class_=kind)
    return element("span", element("svg", path, viewBox="0 0 24 14", aria_hidden="true", class_="key"), name)


def front(points: Iterable[Point]) -> list[Point]:
    """The points of (cost, score) that no other beats in both, the cheapest first.

    Example:
        >>> front([(1, 0.5), (2, 0.4), (3, 0.9), (4, 0.9)])
        [(1, 0.5), (3, 0.9)]
    """
    found: list[Point] = []
    for cost, score in sorted(points, key=lambda p: (p[0], -p[1])):
        if not found or score > found[-1][1]:
            found.append((cost, score))
    return found


def steps(frame: Frame, points: Sequence[Point], kind: str = "line front") -> Markup | None:
    """A line that goes up where the score does."""
    if not points:
        return None
    stairs = [points[0]]
    for (_, low), (cost, score) in pairwise(points):
        stairs += [(cost, low), (cost, score)]
    return line(frame, [*stairs, (frame.x.high, stairs[-1][1])], None, kind)


def histogram(title: str, values: Sequence[float], x_name: str, y_name: str = "rows") -> Markup:
    """How often values of each size are there; the number of bars is the root of their number, 30 at most."""
    shown = sorted(v for v in values if can_be_shown(v, False))
    bins = max(5, min(30, math.isqrt(len(shown))))
    low, high = (shown[0], shown[-1]) if shown else (0.0, 1.0)
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in shown:
        counts[min(int((value - low) / width), bins - 1)] += 1
    made = frame(title, x_name, y_name, [low, low + width * bins], [0, max(*counts, 4)])
    bottom = made.y(0)
    bars = [
        element(
            "rect",
            element("title", f"{short(low + i * width)} to {short(low + (i + 1) * width)}: {count}"),
            x=px(made.x(low + i * width) + 0.5),
            y=px(made.y(count)),
            class_="bar c0",
            width=px(max(made.x(low + width) - made.x(low) - 1, 0.5)),
            height=px(bottom - made.y(count)),
        )
        for i, count in enumerate(counts)
        if count
    ]
    return draw(made, bars)


def bar(share: float) -> Markup:
    """A share as a small bar in a table."""
    width = 100 * min(max(share, 0.0), 1.0)
    rect = element("rect", x=0, y=1, width=f"{width:.1f}", height=10, class_="bar c0")
    return element("svg", rect, viewBox="0 0 100 12", class_="share", aria_hidden="true")


def intervals(title: str, x_name: str, rows: Sequence[tuple[str, float, Sequence[float] | None]]) -> Markup:
    """A value and an interval for each name, one below the other; the first stands out."""
    step, top = 34, 8
    height = top + step * len(rows) + 50
    values = [v for _, value, interval in rows for v in (value, *(interval or ()))]
    x = scale(values, 14, WIDTH - 14, log=is_wide(values))
    low = height - 46
    marks = []
    shown = apart([(x(v), short(v)) for v in x.ticks()])
    for at, label in shown:
        marks.append(element("path", d=f"M{px(at)} {top}V{low}", class_="grid"))
        marks.append(element("text", label, x=px(at), y=low + 17, class_="middle"))
    for i, (name, value, interval) in enumerate(rows):
        y, colour = top + step * i + 24, 1 if i == 0 else 0
        within = f", {short(interval[0])} to {short(interval[1])}" if interval else ""
        tip = element("title", f"{name}: {value:.4g}{within}")
        if interval:
            marks.append(
                element("path", tip, d=f"M{px(x(interval[0]))} {y}H{px(x(interval[1]))}", class_=f"range c{colour}")
            )
        marks.append(element("path", tip, d=_shape(SHAPES[colour], x(value), y, 5), class_=f"dot c{colour}"))
        is_right = x(value) > WIDTH / 2
        edge = x(max(interval)) if interval else x(value)
        start = x(min(interval)) if interval else x(value)
        at = edge if is_right else start
        marks.append(element("text", name, x=px(at), y=y - 9, class_="end" if is_right else "start"))
    marks.append(element("text", x_name, x=WIDTH // 2, y=height - 8, class_="middle name"))
    svg = element("svg", element("title", title), *marks, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title)
    return element("figure", element("figcaption", element("b", title)), svg)

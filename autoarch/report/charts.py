"""Charts as SVG: axes with round numbers, lines, dots, bars.

Colours are those of Okabe and Ito (Color Universal Design, 2008), which people with any kind of colour vision tell apart; they
stand in the page's style, one set for light and one for dark screens. Every mark has a title that shows under the pointer.
A chart is as wide as a phone, so that its letters are legible there.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from autoarch.report.markup import Markup, element, join

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 30, 50  # room for the numbers and names of the axes
COLOURS = 6  # in the style of the page: c0 ... c5
SHAPES = ("circle", "square", "triangle", "diamond")
WIDE = 20  # the largest number by the smallest
HUGE = 1e100  # a number that no axis shows, like its inverse on a logarithmic one
MOST_POINTS = 120  # of a line; it is no wider than a few hundred pixels

Point = tuple[float, float]


@dataclass(frozen=True)
class Scale:
    """Numbers to pixels."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def __call__(self, value: float) -> float:
        """The pixel of a number."""
        if self.is_log:
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers on it."""
        return log_ticks(self.low, self.high) if self.is_log else ticks(self.low, self.high)


@dataclass(frozen=True)
class Frame:
    """A chart without its marks."""

    title: str
    x_name: str
    y_name: str
    x: Scale
    y: Scale


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from low to high: steps of 1, 2 or 5 times a power of ten.

    Example:
        >>> ticks(0.0, 1.0), ticks(3, 17)
        ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [5.0, 10.0, 15.0])
    """
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Round numbers on a logarithmic axis: 1, 2 and 5 times powers of ten, or fewer of them where there are many.

    Example:
        >>> log_ticks(1, 100), log_ticks(1, 1e8)
        ([1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0], [1.0, 100.0, 10000.0, 1000000.0, 100000000.0])
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = last - first
    every = max(1, -(-decades // 5))
    digits = (1, 2, 5) if math.log10(high / low) <= 2 else (1,)
    found = [d * 10.0**p for p in range(first, last + 1, every) for d in digits]
    found = [t for t in found if low * (1 - 1e-9) <= t <= high * (1 + 1e-9)]
    return found if len(found) > 1 else ticks(low, high, 4)


def short(value: float) -> str:
    """A number on an axis.

    Example:
        >>> [short(v) for v in (0, 0.25, 1500, 2e6, 1e-5)]
        ['0', '0.25', '1.5k', '2M', '1e-5']
    """
    size = abs(value)
    if size >= 1e12 or 0 < size < 1e-3:
        mantissa, power = f"{value:.2e}".split("e")
        return f"{float(mantissa):g}e{int(power)}"
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if size >= limit:
            return f"{value / limit:.4g}{unit}"
    return f"{value:.4g}"


def capital(text: str) -> str:
    """A name at the head of a chart.

    Example:
        >>> capital("mean_squared_error")
        'Mean squared error'
    """
    return text[:1].upper() + text[1:].replace("_", " ")


def scale(values: Iterable[float], start: float, end: float, *, log: bool = False) -> Scale:
    """One that shows all values, with a little room."""
    shown = [v for v in values if _can_be_shown(v, log)]
    low, high = (min(shown), max(shown)) if shown else (1.0, 10.0)
    if log:
        room = max((high / low) ** 0.04, 1.1)
        return Scale(low / room, high * room, start, end, True)
    room = (high - low) * 0.04 or abs(high) * 0.05 or 0.5
    return Scale(low - room if low < 0 or low - room > 0 else 0.0, high + room, start, end)


def is_wide(values: Sequence[float]) -> bool:
    """Whether numbers differ so much that a logarithmic axis shows more of them.

    Example:
        >>> is_wide([0.01, 0.02, 3.0]), is_wide([0.5, 1.0]), is_wide([0.0, 1.0])
        (True, False, False)
    """
    return bool(values) and min(values) > 0 and max(values) > WIDE * min(values)


def _can_be_shown(value: float, log: bool) -> bool:
    return abs(value) < HUGE and (value > 1 / HUGE or not log)


def frame(
    title: str, x_name: str, y_name: str, xs: Iterable[float], ys: Iterable[float], *, log_x: bool = False,
    log_y: bool = False,
) -> Frame:  # fmt: skip
    """Axes for these values."""
    x = scale(xs, LEFT, WIDTH - RIGHT, log=log_x)
    y = scale(ys, HEIGHT - BOTTOM, TOP, log=log_y)
    return Frame(title, x_name, y_name, x, y)


def draw(frame: Frame, marks: Iterable[Markup], note: str | None = None) -> Markup:
    """The chart as a figure with its title, and a note below."""
    svg = element(
        "svg", element("title", frame.title), _axes(frame), *marks, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img",
        aria_label=frame.title,
    )  # fmt: skip
    caption = element("figcaption", element("b", frame.title), f" {note}" if note else None)
    return element("figure", caption, svg)


def _axes(frame: Frame) -> Markup:
    left, right, low, top = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    parts = []
    for value in frame.y.ticks():
        y = _px(frame.y(value))
        parts.append(element("path", d=f"M{left} {y}H{right}", class_="grid"))
        parts.append(element("text", short(value), x=left - 7, y=_px(frame.y(value) + 4.5), class_="end"))
    shown = _apart([(frame.x(v), short(v)) for v in frame.x.ticks()])
    for x, label in shown:
        parts.append(element("path", d=f"M{_px(x)} {low}v5", class_="axis"))
        parts.append(element("text", label, x=_px(x), y=low + 19, class_="middle"))
    parts.append(element("path", d=f"M{left} {top}V{low}H{right}", class_="axis"))
    parts.append(element("text", frame.x_name, x=(left + right) // 2, y=HEIGHT - 8, class_="middle name"))
    parts.append(element("text", frame.y_name, x=4, y=top - 15, class_="name"))
    return join(parts)


def _apart(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Labels that do not touch: every second, third ... of them."""
    for every in range(1, len(labels) + 1):
        some = labels[::every]
        if all(b - a > 5 * (len(s) + len(t)) + 6 for (a, s), (b, t) in pairwise(some)):
            return list(some)
    return list(labels[:1])


def _px(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _inside(frame: Frame, points: Iterable[Point]) -> list[Point]:
    """The pixels of the points that can be shown."""

    def fits(scale: Scale, value: float) -> bool:
        return _can_be_shown(value, scale.is_log) and scale.low <= value <= scale.high

    return [(frame.x(x), frame.y(y)) for x, y in points if fits(frame.x, x) and fits(frame.y, y)]


def line(frame: Frame, points: Sequence[Point], title: str | None = None, kind: str = "line") -> Markup | None:
    """A line through the points; one point alone becomes a dot."""
    every = -(-len(points) // MOST_POINTS)
    if every > 1:
        points = [*points[:-1:every], points[-1]]
    shown = _inside(frame, points)
    if not shown:
        return None
    path = "M" + "L".join(f"{_px(x)} {_px(y)}" for x, y in shown)
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
        return f"M{_px(x - r)} {_px(y)}a{r:g} {r:g} 0 1 0 {2 * r:g} 0a{r:g} {r:g} 0 1 0 -{2 * r:g} 0z"
    corners = {
        "square": [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)],
        "triangle": [(0, -1.15), (1.05, 0.8), (-1.05, 0.8)],
        "diamond": [(0, -1.2), (1.2, 0), (0, 1.2), (-1.2, 0)],
    }[shape]
    return "M" + "L".join(f"{_px(x + a * r)} {_px(y + b * r)}" for a, b in corners) + "z"


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
    shown = sorted(v for v in values if _can_be_shown(v, False))
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
            x=_px(made.x(low + i * width) + 0.5),
            y=_px(made.y(count)),
            class_="bar c0",
            width=_px(max(made.x(low + width) - made.x(low) - 1, 0.5)),
            height=_px(bottom - made.y(count)),
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
    shown = _apart([(x(v), short(v)) for v in x.ticks()])
    for at, label in shown:
        marks.append(element("path", d=f"M{_px(at)} {top}V{low}", class_="grid"))
        marks.append(element("text", label, x=_px(at), y=low + 17, class_="middle"))
    for i, (name, value, interval) in enumerate(rows):
        y, colour = top + step * i + 24, 1 if i == 0 else 0
        within = f", {short(interval[0])} to {short(interval[1])}" if interval else ""
        tip = element("title", f"{name}: {value:.4g}{within}")
        if interval:
            marks.append(
                element("path", tip, d=f"M{_px(x(interval[0]))} {y}H{_px(x(interval[1]))}", class_=f"range c{colour}")
            )
        marks.append(element("path", tip, d=_shape(SHAPES[colour], x(value), y, 5), class_=f"dot c{colour}"))
        is_right = x(value) > WIDTH / 2
        edge = x(max(interval)) if interval else x(value)
        start = x(min(interval)) if interval else x(value)
        at = edge if is_right else start
        marks.append(element("text", name, x=_px(at), y=y - 9, class_="end" if is_right else "start"))
    marks.append(element("text", x_name, x=WIDTH // 2, y=height - 8, class_="middle name"))
    svg = element("svg", element("title", title), *marks, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=title)
    return element("figure", element("figcaption", element("b", title)), svg)

"""The axes of a chart: numbers to pixels, and round numbers beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from autoarch.report.markup import Markup, element, join

WIDTH, HEIGHT = 440, 290
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 30, 50  # room for the numbers and names of the axes
WIDE = 20  # the largest number by the smallest
HUGE = 1e100  # a number that no axis shows, like its inverse on a logarithmic one


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
    shown = [v for v in values if can_be_shown(v, log)]
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


def can_be_shown(value: float, log: bool) -> bool:
    """Whether a number has a place on an axis."""
    return abs(value) < HUGE and (value > 1 / HUGE or not log)


def frame(
    title: str, x_name: str, y_name: str, xs: Iterable[float], ys: Iterable[float], *, log_x: bool = False,
    log_y: bool = False,
) -> Frame:  # fmt: skip
    """Axes for these values."""
    x = scale(xs, LEFT, WIDTH - RIGHT, log=log_x)
    y = scale(ys, HEIGHT - BOTTOM, TOP, log=log_y)
    return Frame(title, x_name, y_name, x, y)


def drawn(frame: Frame) -> Markup:
    """The axes, their numbers and names."""
    left, right, low, top = LEFT, WIDTH - RIGHT, HEIGHT - BOTTOM, TOP
    parts = []
    for value in frame.y.ticks():
        y = px(frame.y(value))
        parts.append(element("path", d=f"M{left} {y}H{right}", class_="grid"))
        parts.append(element("text", short(value), x=left - 7, y=px(frame.y(value) + 4.5), class_="end"))
    shown = apart([(frame.x(v), short(v)) for v in frame.x.ticks()])
    for x, label in shown:
        parts.append(element("path", d=f"M{px(x)} {low}v5", class_="axis"))
        parts.append(element("text", label, x=px(x), y=low + 19, class_="middle"))
    parts.append(element("path", d=f"M{left} {top}V{low}H{right}", class_="axis"))
    parts.append(element("text", frame.x_name, x=(left + right) // 2, y=HEIGHT - 8, class_="middle name"))
    parts.append(element("text", frame.y_name, x=4, y=top - 15, class_="name"))
    return join(parts)


def apart(labels: Sequence[tuple[float, str]]) -> list[tuple[float, str]]:
    """Labels that do not touch: every second, third ... of them."""
    for every in range(1, len(labels) + 1):
        some = labels[::every]
        if all(b - a > 5 * (len(s) + len(t)) + 6 for (a, s), (b, t) in pairwise(some)):
            return list(some)
    return list(labels[:1])


def px(value: float) -> str:
    """A pixel, to a tenth."""
    return f"{value:.1f}".removesuffix(".0")

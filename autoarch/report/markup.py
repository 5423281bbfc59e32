"""HTML in which every text is escaped: names of columns and classes, specs and reasons are anybody's words."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

from layerkit.training.progress import show_number

_VOID = frozenset({"br", "hr", "img", "link", "meta"})
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")  # what no HTML file may hold, and UTF-8 cannot


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def escape(text: Any) -> Markup:
    """Text as HTML; what is HTML already stays.

    Example:
        >>> escape("a < b"), escape(Markup("<b>"))
        ('a &lt; b', '<b>')
    """
    if isinstance(text, Markup):
        return text
    return Markup(html.escape(_CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))))


def element(tag: str, /, *children: Any, **attributes: Any) -> Markup:
    """An element; its children and attributes are escaped, None and False are left out.

    Names of attributes are written as Python allows: ``class_``, ``data_sort``.

    Example:
        >>> element("p", "1 < 2", element("br"), class_="x", title=None)
        '<p class="x">1 &lt; 2<br></p>'
    """
    shown = "".join(
        f" {_name(name)}" if value is True else f' {_name(name)}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{shown}>")
    return Markup(f"<{tag}{shown}>{join(children)}</{tag}>")


def join(children: Iterable[Any], between: str = "") -> Markup:
    """One after the other; None is left out."""
    return Markup(between.join(escape(child) for child in children if child is not None))


def _name(name: str) -> str:
    return name.rstrip("_").replace("_", "-") if name != "viewBox" else name


def section(title: str, *children: Any) -> Markup:
    """A part of the page with its heading; nothing where it has no content."""
    found = [child for child in children if child]
    if not found:
        return Markup()
    name = "-".join(re.findall(r"[a-z]+", title.lower()))
    return element("section", element("h2", title), *found, id=name, aria_label=title)


def paragraph(*children: Any, kind: str | None = None) -> Markup:
    """A paragraph."""
    return element("p", *children, class_=kind)


def code(text: Any) -> Markup:
    """A few words of code."""
    return element("code", text)


def listing(text: str, label: str, *, wraps: bool = False) -> Markup:
    """A file, as text; lines that are too long go on in the next if it ``wraps``."""
    return element("pre", element("code", text), tabindex="0", aria_label=label, class_="wraps" if wraps else None)


def folded(title: str, *children: Any) -> Markup:
    """What few want to see."""
    return element("details", element("summary", title), *children)


def table(
    heads: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    label: str,
    sortable: bool = False,
    marked: int | None = None,
) -> Markup:
    """A table; numbers stand on the right.

    Args:
        heads: a name for each column.
        rows: a cell may be a text, a ``number``, markup or None.
        label: what it shows.
        sortable: by a click on a heading, where scripts run.
        marked: the row that stands out.
    """
    body = [
        element("tr", *(_cell(cell) for cell in row), class_="marked" if i == marked else None)
        for i, row in enumerate(rows)
    ]
    head = element("tr", *(element("th", name, scope="col") for name in heads))
    shown = element(
        "table", element("thead", head), element("tbody", *body), class_="sortable" if sortable else None, aria_label=label
    )  # fmt: skip
    return element("div", shown, class_="wide", tabindex="0", role="region", aria_label=label)


class Number(Markup):
    """A number as it is shown, and as it is sorted."""

    __slots__ = ("value",)
    value: float | None

    def __new__(cls, value: float | None, text: str) -> Number:
        """Of the number and its text."""
        self = super().__new__(cls, escape(text))
        self.value = value
        return self


def number(value: float | None, form: str = ",.4g") -> Number:
    """A number in a cell.

    Example:
        >>> number(12345.0, ",.0f"), number(None)
        ('12,345', '')
    """
    return Number(value, "" if value is None else format(value, form))


def score_cell(value: float | None) -> Number:
    """A score in a cell, as it is said elsewhere.

    Example:
        >>> score_cell(0.98765), score_cell(4.1e15), score_cell(None)
        ('0.9877', '4.100e+15', '')
    """
    return Number(value, "" if value is None else show_number(value))


def _cell(cell: Any) -> Markup:
    if isinstance(cell, Number):
        return element("td", cell, class_="number", data_sort="" if cell.value is None else f"{cell.value:.9g}")
    return element("td", cell)


def seconds(value: float | None) -> Number:
    """A time.

    Example:
        >>> seconds(0.0123), seconds(75.0), seconds(7500)
        ('12.3 ms', '1 min 15 s', '2 h 5 min')
    """
    if value is None:
        return Number(None, "")
    if value < 1:
        return Number(value, f"{value * 1000:.3g} ms")
    if value < 60:
        return Number(value, f"{value:.3g} s")
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return Number(value, f"{minutes} min {rest} s" if rest else f"{minutes} min")
    hours, minutes = divmod(minutes, 60)
    return Number(value, f"{hours} h {minutes} min" if minutes else f"{hours} h")


def bytes_(value: float | None) -> Number:
    """A size.

    Example:
        >>> bytes_(999), bytes_(1.234e6)
        ('999 B', '1.23 MB')
    """
    if value is None:
        return Number(None, "")
    size, unit = float(value), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 999.5 or unit == "TB":
            break
        size /= 1000
    return Number(value, f"{size:.3g} {unit}")

"""Trials as tables for a terminal, as wide as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from autoarch.measures import epoch_seconds, parameters_of, score_of
from autoarch.ranking import ACCURACY, LOSS, measure
from autoarch.study import Trial
from autoarch.values import short_values
from layerkit.training.progress import show_number

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

NARROW, MEDIUM = 72, 100  # letters of a line, below which there is no room for everything
WIDEST, LEAST = 20, 12  # letters of a column; of the last one


def measures(trials: Sequence[Trial]) -> list[str]:
    """The names of scores, the one that ranks first."""
    names = {name for t in trials for name in t.scores}
    return [*dict.fromkeys([measure(names), LOSS]), *sorted(names - {ACCURACY, LOSS})]


def board(ranked: Sequence[Trial], *, width: int, first: int = 1, whole: bool = False) -> Table:
    """A row for each trial.

    Args:
        ranked: the best first.
        width: of the terminal; narrow ones get fewer columns.
        first: the rank of the first.
        whole: whether values that are longer than a line go on in the next.
    """
    has_spaces = len({t.space for t in ranked}) > 1
    names = measures(ranked)[: 1 if width < MEDIUM else 2]
    heads = ["rank", "trial", *(n.replace("_", " ") for n in names), *(["space"] if has_spaces else []), "epochs", "parameters", "epoch", "values"]  # fmt: skip
    rows: list[list[str | Text]] = [
        [
            str(rank), str(trial.number), *(_score(score_of(trial, n) if trial.reason is None else None) for n in names),
            *([text(trial.space)] if has_spaces else []), str(trial.trained), _count(parameters_of(trial)),
            shown_seconds(epoch_seconds(trial)), described(trial),
        ] for rank, trial in enumerate(ranked, first)
    ]  # fmt: skip
    return grid(heads, rows, width=width, whole=whole)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str | Text]], *, width: int, whole: bool = False) -> Table:
    """A table whose last column gets the room that the others leave; columns for which there is no room are left out."""
    from rich.table import Table

    found = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    widths = [min(max(len(row[i]) for row in [heads, *rows]), WIDEST) for i in range(len(heads) - 1)]
    while sum(widths) + 2 * len(widths) > width and len(widths) > 1:
        widths.pop()
    left = width - sum(widths) - 2 * len(widths) - 2  # rich counts the gap after the last one too
    for i, (head, wide) in enumerate(zip(heads, widths, strict=False)):
        is_words = any(not isinstance(row[i], str) for row in rows)
        found.add_column(head, justify="left" if is_words else "right", width=wide, no_wrap=True, overflow="ellipsis")
    if left >= LEAST:
        found.add_column(heads[-1], no_wrap=not whole, overflow="fold" if whole else "ellipsis", max_width=left)
    for row in rows:
        found.add_row(*(row if left >= LEAST else row[: len(widths)]))
    return found


def described(trial: Trial) -> Text:
    """Why it failed, or what went into its holes."""
    if trial.reason is not None:
        return text(trial.reason, "red")
    return text(", ".join(f"{name} {value}" for name, value in short_values(trial.drawn.values).items()))


def text(words: str, style: str = "") -> Text:
    """Words of anybody's: no markup, and no control codes, which a terminal would obey."""
    from rich.text import Text

    return Text("".join(c if c.isprintable() else "?" for c in words), style)


def shown_seconds(value: float | None) -> str:
    """A time, short.

    Example:
        >>> shown_seconds(0.0123), shown_seconds(3.21), shown_seconds(75), shown_seconds(7260), shown_seconds(None)
        ('12 ms', '3.2 s', '1:15', '2:01:00', '')
    """
    if value is None:
        return ""
    if value < 1:
        return f"{1000 * value:.0f} ms"
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _score(value: float | None) -> str:
    return "" if value is None else show_number(value)


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,d}"

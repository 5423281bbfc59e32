"""The page: its sections in the order in which a sceptical reader asks, its style, and a few lines of script to sort tables."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from autoarch.folder import REPORT
from autoarch.report.answer import answer, checks, finalists
from autoarch.report.facts import Facts, read
from autoarch.report.importance import importance
from autoarch.report.markup import Markup, element, join, paragraph
from autoarch.report.repeat import repeat
from autoarch.report.trials import costs, curves, failures, leaderboard, pareto
from autoarch.report.winner import mistakes, winner
from layerkit import __version__, saving

SECTIONS = (
    answer, checks, winner, leaderboard, curves, pareto, importance, mistakes, costs, failures, finalists, repeat,
)  # fmt: skip

STATES = {
    "going on": "The search is still going on: this is what is there so far.",
    "stopped": "The search was stopped before its end: this is what is there.",
}


def write(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run, whole or not at all; where it is.

    Args:
        run: the folder of the search.
        out: the file; ``report.html`` in the folder unless given.

    Raises:
        ArgumentError: the folder holds no search.
        OSError: the file cannot be written.
    """
    path = out or run / REPORT
    saving.write_whole(path, [report(read(run)).encode()])
    return path


def report(facts: Facts) -> Markup:
    """The page as text."""
    title = f"Architecture search: {Path(facts.data).name or facts.data}"
    made = [made for section in SECTIONS if (made := section(facts))]
    links = [element("a", _title(one), href=f"#{_id(one)}") for one in made]
    state = [paragraph(STATES[facts.state], _why(facts), kind="state")] if facts.state in STATES else []
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    body = [
        element("header", element("h1", title), *state, element("nav", join(links, " "), aria_label="Sections")),
        element("main", *made),
        element("footer", paragraph(f"Written by layerkit {__version__}, {now}, from {facts.folder}.")),
        element("script", _file("page.js")),
    ]
    head = [
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("link", rel="icon", href="data:,"),
        element("style", _file("page.css")),
    ]
    return Markup("<!DOCTYPE html>\n" + element("html", element("head", *head), element("body", *body), lang="en") + "\n")  # fmt: skip


def _why(facts: Facts) -> str:
    return "" if facts.failure is None else f" The last command failed: {facts.failure}"


def _file(name: str) -> Markup:
    return Markup((files("autoarch.report") / name).read_text(encoding="utf-8"))


def _title(section: Markup) -> str:
    return section.split('aria-label="', 1)[1].split('"', 1)[0]


def _id(section: Markup) -> str:
    return section.split('id="', 1)[1].split('"', 1)[0]

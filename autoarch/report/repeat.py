"""Everything that it takes to do the same search again."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from typing import Any

from autoarch.report.facts import Facts
from autoarch.report.markup import Markup, bytes_, code, folded, join, listing, paragraph, seconds, section, table
from autoarch.values import short_value


def repeat(facts: Facts) -> Markup:
    """Commands, seed, versions, machine, data, options, specs."""
    parts = [
        paragraph(_said(facts), kind="note"),
        *_commands(facts),
        table(["", ""], _facts(facts), label="What the result depends on"),
        *(folded(f"The space {s.name}", listing(s.spec, f"The space {s.name}")) for s in facts.options.spaces),
    ]  # fmt: skip
    return section("Repeat it", *parts)


def _said(facts: Facts) -> str:
    if facts.clock.get("allowed") is None:
        return "The same commands with the same data and versions, on a processor with the same features, find the same trials, the same winner and the same weights, with any number of workers."  # fmt: skip
    return "The time was limited: how many trials there are, and so who wins, depends on how fast the machine was. The winner's spec gives the same weights wherever data, versions and the processor's features are the same."  # fmt: skip


def _commands(facts: Facts) -> list[Markup]:
    lines = [f"{s['command']}\n" for s in facts.sessions if s.get("command")]
    parts = [listing("".join(lines), "The commands of the search", wraps=True)] if lines else []
    if facts.state == "stopped":
        parts += [
            paragraph("To go on with it:"),
            listing(shlex.join(["autoarch", "resume", str(facts.folder)]), "To go on", wraps=True),
        ]
    if facts.result.get("train"):
        parts += [
            paragraph("To train the winner alone, to the same bits:"),
            listing(facts.result["train"], "To train it", wraps=True),
        ]
    return parts


def _facts(facts: Facts) -> list[list[Any]]:
    options = asdict(facts.options)
    options.pop("spaces")
    rows = [[name.replace("_", " "), value] for name, value in _flat(options)]
    for name, key in (("time allowed", "allowed"), ("time spent", "spent")):
        if facts.clock.get(key) is not None:
            rows.append([name, seconds(facts.clock[key])])
    rows.append(["the data's SHA-256", code(facts.training["data_sha256"])] if "data_sha256" in facts.training else ["the data", facts.data])  # fmt: skip
    for i, session in enumerate(facts.sessions, 1):
        which = f" ({i})" if len(facts.sessions) > 1 else ""
        versions = ", ".join(f"{name} {version}" for name, version in session.get("versions", {}).items())
        rows += [
            [f"began{which}", f"{session.get('began', '')}, in {session.get('folder', '')}"],
            [f"machine{which}", _machine(session)],
            [f"versions{which}", f"Python {session.get('python', '')}, {versions}"],
        ]
        if session.get("variables"):
            rows.append([f"variables{which}", ", ".join(f"{k}={v}" for k, v in session["variables"].items())])
    training = facts.training
    if training.get("cpu"):
        features = " ".join(training.get("cpu_features", []))
        rows.append(["processor", join([f"{training['cpu']}, vectors of {training.get('vector_bytes')} bytes", folded("its features", features)])])  # fmt: skip
    return rows


def _machine(session: dict[str, Any]) -> str:
    memory = session.get("memory_bytes")
    held = f", {bytes_(memory)} of memory" if memory else ""
    return f"{session.get('platform', '')}, {session.get('cores')} cores{held}; workers: {session.get('workers')}"


def _flat(options: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    found = []
    for name, value in options.items():
        if isinstance(value, dict):
            found += _flat(value, f"{name}: ")
        elif value is not None:
            found.append((before + name, short_value(value)))
    return found

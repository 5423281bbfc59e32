"""The best spec: its text, its architecture, where its predictions are wrong."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import builders
from autoarch.report import axes, charts
from autoarch.report.facts import Facts, guarded
from autoarch.report.markup import Markup, element, folded, listing, number, paragraph, section, table
from autoarch.values import short_values
from layerkit.models.drawing import draw

MOST_CLASSES = 40  # of a confusion matrix that is shown whole
MOST_CONFUSED = 15  # pairs of classes


def winner(facts: Facts) -> Markup:
    """What was put into the holes, the spec, the drawing."""
    best = facts.winner
    if best is None:
        return Markup()
    title = "The best spec" if facts.result else "The best spec so far"
    chosen = [element("div", element("dt", name), element("dd", value)) for name, value in short_values(best.drawn.values).items()]  # fmt: skip
    picture, why = guarded(_picture, facts)
    shown = picture if why is None else paragraph(f"It cannot be drawn: {why}", kind="note")
    return section(
        title, element("dl", *chosen, class_="chosen"),
        element("div", listing(facts.best_spec, "The best spec"), shown, class_="beside"),
    )  # fmt: skip


def _picture(facts: Facts) -> Markup:
    """The drawing as a picture of its own, so that its style stays its own."""
    best = facts.winner
    assert best is not None
    model = builders.loads(best.spec, facts.options.file_of(best.space)).build()
    svg = draw(model)
    data = base64.b64encode(svg.encode()).decode("ascii")
    words = f"Drawing of the architecture: {len(model.layers)} layers, {model.count_params():,} parameters"
    picture = element("img", src=Markup(f"data:image/svg+xml;base64,{data}"), alt=words)
    box = element("div", picture, tabindex="0", role="region", aria_label=words)
    return element("figure", element("figcaption", element("b", words)), box, class_="drawing")


def mistakes(facts: Facts) -> Markup:
    """Where the model is wrong on the sealed test: between which classes, or by how much."""
    result = facts.result
    if result.get("confusion"):
        return section("Mistakes on the sealed test", *_confusion(result["classes"], result["confusion"]))
    if result.get("residuals"):
        return section("Mistakes on the sealed test", *_residuals(result["residuals"]))
    return Markup()


def _confusion(names: Sequence[Any], counts: Sequence[Sequence[int]]) -> list[Markup]:
    pairs = sorted(
        ((n, i, j) for i, row in enumerate(counts) for j, n in enumerate(row) if n and i != j), key=lambda p: -p[0]
    )
    total, right = sum(map(sum, counts)), sum(row[i] for i, row in enumerate(counts))
    parts = [paragraph(f"{right:,} of {total:,} rows are right.")]
    if len(names) <= MOST_CLASSES:
        parts.append(_matrix(names, counts))
    if pairs and len(names) > 2:
        rows = [[names[i], names[j], number(n, ",d"), number(n / sum(counts[i]), ".1%")] for n, i, j in pairs[:MOST_CONFUSED]]  # fmt: skip
        shown = table(["true class", "taken for", "rows", "of the class"], rows, label="Classes that are confused most")
        parts.append(folded("Classes that are confused most", shown) if len(names) <= MOST_CLASSES else shown)
    return parts


def _matrix(names: Sequence[Any], counts: Sequence[Sequence[int]]) -> Markup:
    """A row for each true class; a field is the darker the more of the class it holds."""
    head = element("tr", element("th", "true \\ predicted"), *(element("th", name, scope="col") for name in names))
    body = []
    for i, row in enumerate(counts):
        total = sum(row) or 1
        cells = [
            element(
                "td",
                f"{n:,}" if n else "·",
                title=f"{names[i]} taken for {names[j]}: {n:,} of {total:,}",
                class_="right" if i == j else "wrong" if n else "none",
                style=f"--share:{100 * n / total:.0f}%" if n else None,
            )
            for j, n in enumerate(row)
        ]
        body.append(element("tr", element("th", names[i], scope="row"), *cells))
    shown = element("table", element("thead", head), element("tbody", *body), class_="matrix", aria_label="Confusion matrix")  # fmt: skip
    return element("div", shown, class_="wide", tabindex="0", role="region", aria_label="Confusion matrix")


def _residuals(found: Mapping[str, Any]) -> list[Markup]:
    parts = []
    facts = [("mean error", found.get("mean")), ("mean absolute error", found.get("mean_absolute")),
             ("share of the variance explained", found.get("explained"))]  # fmt: skip
    told = ", ".join(f"{name} {value:.4g}" for name, value in facts if value is not None)
    parts.append(paragraph(f"Predicted minus true: {told}."))
    sample = found.get("sample") or {}
    true, made = _column(sample.get("true") or []), _column(sample.get("predicted") or [])
    if true:
        both = [*true, *made]
        frame = axes.frame("Predicted against true", "true", "predicted", both, both)
        ends = [(frame.x.low, frame.x.low), (frame.x.high, frame.x.high)]
        dots = [charts.dot(frame, p, f"true {axes.short(p[0])}, predicted {axes.short(p[1])}") for p in zip(true, made, strict=True)]  # fmt: skip
        note = f"{len(true):,} rows; on the line they are equal."
        scatter = charts.draw(frame, filter(None, [charts.line(frame, ends, None, "line ideal"), *dots]), note)
        off = [b - a for a, b in zip(true, made, strict=True)]
        parts.append(element("div", scatter, charts.histogram("Errors", off, "predicted minus true"), class_="charts"))
    return parts


def _column(rows: Sequence[Any]) -> list[float]:
    """The first value of each row."""
    return [float(row[0] if isinstance(row, list) else row) for row in rows]

"""The first things that a reader wants to know: what was searched, does it beat the baselines, can the data be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoarch.report import charts
from autoarch.report.facts import Facts
from autoarch.report.markup import Markup, code, element, escape, number, paragraph, section, table

LEVEL = "95 %"


def answer(facts: Facts) -> Markup:
    """What was searched on what, in one paragraph with the verdict; the model beside the baselines."""
    return section("In short", paragraph(_searched(facts), " ", _verdict(facts), kind="lead"), *_compared(facts))


def _searched(facts: Facts) -> str:
    spaces = facts.spaces[0] if not facts.is_several else f"{len(facts.spaces)} spaces ({', '.join(facts.spaces)})"
    rows = facts.result.get("rows") or {}
    parts = ", ".join(f"{count:,} for {_part(part)}" for part, count in rows.items())
    failed = len(facts.failed)
    counted = f"{len(facts.trials)} trials" if len(facts.trials) != 1 else "1 trial"
    ends = f", {failed} of them without a score" if failed else ""
    return (
        f"The space {spaces} was searched" if not facts.is_several else f"{spaces} were searched"
    ) + f" on the data {Path(facts.data).name or facts.data}{f' ({parts})' if parts else ''}: {counted}{ends}."


def _part(name: str) -> str:
    return {"train": "training", "test": "the sealed test"}.get(name, name)


def _verdict(facts: Facts) -> Markup:
    result, winner = facts.result, facts.winner
    if not result:
        state = "The search is still going on" if facts.state == "going on" else "The search was stopped before its end"
        if winner is None:
            return element("strong", f"{state}; no trial has a score yet.")
        best = f"the best so far is trial {winner.number} with {_measured(facts)}"
        return element("strong", f"{state}; {best} on the validation part. The test part is still sealed.")
    measure, test = _measure(result), result.get("model", {}).get("test")
    shown = f"Trial {result.get('best_trial')} won" + (f"; its model has {_with(measure, test, result.get('interval'))} on the sealed test." if test is not None else ".")  # fmt: skip
    said = result.get("claim", {}).get("sentence")
    beats = result.get("beats_baselines")
    if beats is True:
        kind, text = "good", f"It is {said}." if said else f"It is better than every baseline: {_rivals(result)}."
    elif beats is False:
        kind, text = "bad", f"{_sentence(said or 'no candidate beats the baselines')}."
    else:
        kind, text = "open", f"{_sentence(said or 'there is no baseline to compare with')}."
    return Markup(escape(shown) + " " + element("strong", text, class_=kind))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _rivals(result: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {scores['test']:.4g}" for name, scores in result.get("baselines", {}).items() if scores.get("test") is not None)  # fmt: skip


def _measured(facts: Facts) -> str:
    assert facts.winner is not None
    return f"{facts.measure.replace('_', ' ')} {facts.winner.scores[facts.measure]:.4f}"


def _measure(result: Mapping[str, Any]) -> str:
    return str(result.get("measure", "score")).replace("_", " ")


def _with(measure: str, value: float, interval: Sequence[float] | None) -> str:
    within = f" ({LEVEL} interval {interval[0]:.4g} to {interval[1]:.4g})" if interval else ""
    article = "an" if measure[:1] in "aeiou" else "a"
    return f"{article} {measure} of {value:.4g}{within}"


def _compared(facts: Facts) -> list[Markup]:
    """The table of the model and the baselines, and the picture of it."""
    result = facts.result
    if not result.get("model"):
        return []
    tests = {c["baseline"]: c for c in result.get("claim", {}).get("comparisons", [])}
    everyone = {"the model found": {**result["model"], "interval": result.get("interval")}, **result.get("baselines", {})}  # fmt: skip
    rows = []
    for name, scores in everyone.items():
        interval, test = scores.get("interval"), tests.get(name)
        rows.append([
            name, number(scores.get("validation"), ".4f"), number(scores.get("test"), ".4f"),
            f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
            *([_p(test["p"]) if test else ""] if tests else []),
        ])  # fmt: skip
    measure = _measure(result)
    heads = ["", f"{measure}, validation", "sealed test", f"{LEVEL} interval", *(["p of the paired test"] if tests else [])]  # fmt: skip
    parts = [table(heads, rows, label="The model and the baselines", marked=0)]
    shown = [(n, s["test"], s.get("interval")) for n, s in everyone.items() if s.get("test") is not None]
    if len(shown) > 1 and any(interval for _, _, interval in shown):
        parts.append(charts.intervals(f"{_sentence(measure)} on the sealed test", measure, shown))
    kinds = sorted({str(t["test"]) for t in tests.values()})
    if kinds:
        level = result["claim"].get("level")
        parts.append(paragraph(
            f"Each baseline and the model were compared row by row on the sealed test ({'; '.join(kinds)}). Better is said only "
            f"if p is below {level} against every baseline.", kind="note",
        ))  # fmt: skip
    parts += [paragraph(note, kind="note") for note in result.get("notes", [])]
    return parts


def _p(value: float) -> Markup:
    return number(value, ".2g" if value >= 1e-4 else ".0e")


def checks(facts: Facts) -> Markup:
    """What the checks of the data found."""
    found = facts.findings
    if found is None:
        return Markup()
    if not found:
        return section("Checks of the data", paragraph("Nothing was found."))
    items = [
        element("li", element("strong", "Serious: ", class_="bad") if one.get("is_serious") else None, one.get("text"))
        for one in found
    ]
    return section("Checks of the data", element("ul", *items))


def finalists(facts: Facts) -> Markup:
    """The best trained again over several seeds, and what the choice among many did to the score."""
    result = facts.result
    parts: list[Markup] = []
    rows = [_finalist(one) for one in result.get("finalists") or []]
    if rows:
        heads = ["trial", "validation, each seed", "mean", f"{LEVEL} interval"]
        parts.append(table(heads, rows, label="Finalists over seeds", marked=_first(result)))
    seeds = result.get("seeds") or {}
    if len(seeds.get("test") or []) > 1:
        interval = seeds.get("interval")
        shown = ", ".join(f"{v:.4f}" for v in seeds["test"])
        within = f" ({LEVEL} interval {interval[0]:.4f} to {interval[1]:.4f})" if interval else ""
        parts.append(paragraph(f"The winner's spec on the sealed test, from {len(seeds['test'])} seeds: {shown}; mean {seeds['mean']:.4f}{within}."))  # fmt: skip
    bias = result.get("selection_bias")
    if bias is not None:
        parts.append(paragraph(_bias(bias)))
    return section("Finalists and selection", *parts)


def _finalist(one: Mapping[str, Any]) -> list[Any]:
    scores = one.get("validation") or one.get("scores") or []
    each = ", ".join(f"{v:.4f}" for v in scores) if isinstance(scores, list) else str(scores)
    interval = one.get("interval")
    return [
        number(one.get("trial"), "d"), each, number(one.get("mean"), ".4f"),
        f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "",
    ]  # fmt: skip


def _first(result: Mapping[str, Any]) -> int | None:
    trials = [one.get("trial") for one in result["finalists"]]
    return trials.index(result.get("best_trial")) if result.get("best_trial") in trials else None


def _bias(bias: Any) -> Markup:
    if isinstance(bias, Mapping):
        inside = "; ".join(f"{str(name).replace('_', ' ')} {_plain(value)}" for name, value in bias.items())
        return Markup(element("span", f"Selection bias, by a bootstrap over the validation rows and the candidates: {inside}."))  # fmt: skip
    return Markup(element("span", "Choosing the best of many makes its validation score look better than it is, by ", code(_plain(bias)), " as a bootstrap over the validation rows and the candidates estimates."))  # fmt: skip


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list):
        return " to ".join(_plain(v) for v in value) if len(value) == 2 else ", ".join(_plain(v) for v in value)
    return str(value)

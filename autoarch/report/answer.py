"""The first things that a reader wants to know: what was searched, does it beat the baselines, can the data be trusted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoarch.ranking import ACCURACY
from autoarch.report import charts
from autoarch.report.facts import Facts
from autoarch.report.markup import Markup, element, escape, number, paragraph, score_cell, section, table
from layerkit.training.progress import show_number

LEVEL = "95 %"
CHECKED = (
    "Nothing odd was found. Looked for were rows in two parts, constant columns, columns that tell the target, rare classes, "
    "missing values and parts of few rows."
)


def answer(facts: Facts) -> Markup:
    """What was searched on what, in one paragraph with the verdict; the model beside the baselines."""
    words = facts.result.get("claim", {}).get("in_words")
    meaning = [paragraph(f"{_sentence(words)}.")] if words else []
    return section(
        "In short", paragraph(_searched(facts), " ", _verdict(facts), kind="lead"), *meaning, *_compared(facts)
    )


def _searched(facts: Facts) -> str:
    spaces = facts.spaces[0] if not facts.is_several else f"{len(facts.spaces)} spaces ({', '.join(facts.spaces)})"
    rows = facts.result.get("rows") or {}
    parts = ", ".join(f"{count:,} for {_part(part)}" for part, count in rows.items())
    failed = len(facts.failed)
    counted = f"{len(facts.trials)} trials" if len(facts.trials) != 1 else "1 trial"
    idle = sum(not t.results for t in facts.trials)
    ends = f", {failed} of them failed or rejected" if failed else ""
    ends += f", {idle} of them not trained yet" if idle and not facts.result else f", {idle} of them not trained for lack of time" if idle else ""  # fmt: skip
    return (
        f"The space {spaces} was searched" if not facts.is_several else f"{spaces} were searched"
    ) + f" on the data {Path(facts.data).name or facts.data}{f' ({parts})' if parts else ''}: {counted}{ends}."


def _part(name: str) -> str:
    return {"train": "training", "test": "the sealed test"}.get(name, name)


def _verdict(facts: Facts) -> Markup:
    result, winner = facts.result, facts.winner
    if not result:
        state = "The search is still going on" if facts.state == "going on" else "The search was stopped before its end"
        if facts.trials and len(facts.failed) == len(facts.trials) and facts.state == "stopped":
            return element("strong", "Every trial failed: there is no model.", class_="bad")
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
    return ", ".join(f"{name} {show_number(scores['test'])}" for name, scores in result.get("baselines", {}).items() if scores.get("test") is not None)  # fmt: skip


def _measured(facts: Facts) -> str:
    assert facts.winner is not None
    return f"{facts.measure.replace('_', ' ')} {show_number(facts.winner.scores[facts.measure])}"


def _measure(result: Mapping[str, Any]) -> str:
    return str(result.get("measure", "score")).replace("_", " ")


def _with(measure: str, value: float, interval: Sequence[float] | None) -> str:
    within = f" ({LEVEL} interval {_range(interval)})" if interval else ""
    article = "an" if measure[:1] in "aeiou" else "a"
    return f"{article} {measure} of {show_number(value)}{within}"


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
            name, score_cell(scores.get("test")), _range(interval) if interval else "",
            score_cell(scores.get("validation")), *([_p(test["p"]) if test else ""] if tests else []),
        ])  # fmt: skip
    measure = _measure(result)
    heads = [measure, "sealed test", f"{LEVEL} interval", "validation", *(["p of the paired test"] if tests else [])]  # fmt: skip
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
        return section("Checks of the data", paragraph(CHECKED))
    items = [
        element("li", element("strong", "Serious: ", class_="bad") if one.get("is_serious") else None, one.get("text"))
        for one in found
    ]
    return section("Checks of the data", element("ul", *items))


def finalists(facts: Facts) -> Markup:
    """The best trained again over several seeds, and what the choice among many did to the score."""
    result = facts.result
    final = result.get("finalists") or []
    seeds = result.get("seeds") or {}
    parts: list[Markup] = []
    if final:
        said = "The best trials were trained again from scratch with several seeds; the winner has the best mean on the validation part."  # fmt: skip
        heads = [
            "trial",
            *(["space"] if facts.is_several else []),
            "mean",
            f"{LEVEL} interval",
            "each seed",
            *(["failed"] if any(one.get("failed") for one in final) else []),
        ]
        rows = [_finalist(one, facts.is_several) for one in final]
        trials = [one.get("trial") for one in final]
        best = trials.index(result["best_trial"]) if result.get("best_trial") in trials else None
        parts += [paragraph(said, kind="note"), table(heads, rows, label="Finalists over seeds", marked=best)]
    if len(seeds.get("test") or []) > 1:
        shown = ", ".join(map(show_number, seeds["test"]))
        within = f" ({LEVEL} interval {_range(seeds['interval'])})" if seeds.get("interval") else ""
        parts.append(paragraph(f"The winner's spec on the sealed test, trained with {len(seeds['test'])} seeds: {shown}; mean {show_number(seeds['mean'])}{within}."))  # fmt: skip
    if result.get("selection_bias"):
        parts.append(_luck(result["selection_bias"], "error rate" if facts.measure == ACCURACY else "squared error"))
    return section("Finalists and selection", *parts)


def _finalist(one: Mapping[str, Any], is_several: bool) -> list[Any]:
    return [
        number(one.get("trial"), "d"), *([one.get("space")] if is_several else []), score_cell(one.get("mean")),
        _range(one["interval"]) if one.get("interval") else "", ", ".join(map(show_number, one.get("validation") or [])),
        *(["; ".join(map(str, one["failed"]))] if one.get("failed") else []),
    ]  # fmt: skip


def _luck(found: Mapping[str, float], measure: str) -> Markup:
    """What ``selection.luck`` estimated, in a sentence."""
    ends = f", {show_number(found['bias'])} more" if found["bias"] > 0 else ", no more: luck is not seen in the choice"
    return paragraph(
        f"The best of {found['candidates']} trials was chosen by its score on {found['rows']:,} rows of the validation part, which "
        f"can make it look better there than it is. Its {measure} is {show_number(found['apparent'])} on them, and {show_number(found['corrected'])} is to "
        f"be expected on others ({LEVEL} interval {_range((found['low'], found['high']))}){ends}. This is estimated by a bootstrap "
        "over rows and candidates (Tsamardinos et al. 2018). The sealed test took no part in the choice."
    )  # fmt: skip


def _range(interval: Sequence[float]) -> str:
    return f"{show_number(interval[0])} to {show_number(interval[1])}"

"""All trials: the leaderboard, how they learned, what they cost, how they failed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from autoarch.boards import measures
from autoarch.measures import cost_of, epoch_seconds, history_of, parameters_of, score_of
from autoarch.ranking import LOSS
from autoarch.report import axes, charts
from autoarch.report.facts import Facts
from autoarch.report.markup import (
    Markup,
    Number,
    bytes_,
    element,
    number,
    paragraph,
    score_cell,
    seconds,
    section,
    table,
)
from autoarch.study import Trial
from autoarch.values import short_values
from layerkit.training.progress import show_number

MOST_CURVES = 400  # lines of a chart; more are no picture any more
TOLERATED = {"bytes": 0.15, "seconds": 0.25}  # how far off predictions may be


def leaderboard(facts: Facts) -> Markup:
    """A row for each trial, the best first."""
    if not facts.trials:
        return Markup()
    names = measures(facts.scored)[: len({facts.measure, LOSS}) + 2]
    has = {"operations": any(cost_of(t, "flops")[0] is not None for t in facts.trials)}
    heads = [
        "rank", "trial", *(n.replace("_", " ") for n in names), *(["space"] if facts.is_several else []), "epochs",
        "parameters", *(["operations"] if has["operations"] else []), "time of an epoch", "proposed by", "values",
    ]  # fmt: skip
    rows = []
    for rank, trial in enumerate(facts.ranked, 1):
        failed = [element("span", trial.reason, class_="reason")] if trial.reason is not None else []
        values = ", ".join(f"{n}\N{NO-BREAK SPACE}{v}" for n, v in short_values(trial.drawn.values).items())
        rows.append([
            number(rank, "d"), number(trial.number, "d"),
            *(score_cell(score_of(trial, n) if trial.reason is None else None) for n in names),
            *([trial.space] if facts.is_several else []), number(trial.trained, "d"),
            number(parameters_of(trial), ",d"), *([_short(cost_of(trial, "flops")[0])] if has["operations"] else []),
            seconds(epoch_seconds(trial)), element("span", trial.why, class_="whole"),
            element("span", *failed, *([" "] if failed else []), values, class_="values"),
        ])  # fmt: skip
    best = facts.ranked.index(facts.winner) if facts.winner is not None else None
    said = "Ranked by how far a trial came, then by its score on the validation part; timings differ from run to run and rank nothing."  # fmt: skip
    if best:
        said += " The winner, which is marked, was the best of the finalists over several seeds."
    return section("Leaderboard", paragraph(said, kind="note"), table(heads, rows, label="Leaderboard", sortable=True, marked=best))  # fmt: skip


def _short(value: float | None) -> Number:
    return Number(value, "" if value is None else axes.short(value))


# Learning curves ------------------------------------------------------------------------------------------------------


def curves(facts: Facts) -> Markup:
    """Loss and accuracy of each epoch, on the training and on the validation part."""
    histories = {t.number: rows for t in facts.trials if (rows := history_of(t))}
    if not histories:
        return Markup()
    shown = _spread([t for t in facts.ranked if t.number in histories])
    charts_ = []
    for name in dict.fromkeys([LOSS, facts.measure]):
        values = [v for t in shown for row in histories[t.number] for key in (name, f"val_{name}") if (v := row.get(key)) is not None]  # fmt: skip
        if values:
            charts_ += [_curves(facts, name, part, shown, histories, values) for part in ("training", "validation")]
    some = "" if len(shown) == len(histories) else f" {len(shown)} of {len(histories)} trials are drawn: the best, and others evenly over the ranks."  # fmt: skip
    keys = [charts.key("line best", f"trial {facts.winner.number}, the best")] if facts.winner else []
    legend = charts.legend([], extra=[*keys, charts.key("line", "the other trials")])
    said = f"Each line is a trial; it ends where the trial did not go on.{some} A training loss far below the validation loss is overfitting."  # fmt: skip
    return section("Learning curves", paragraph(said, kind="note"), legend, element("div", *charts_, class_="charts"))


def _spread(trials: list[Trial]) -> list[Trial]:
    """The best half of so many as can be drawn, and others evenly from the rest."""
    if len(trials) <= MOST_CURVES:
        return trials
    half = MOST_CURVES // 2
    rest = trials[half:]
    return trials[:half] + [rest[i * len(rest) // half] for i in range(half)]


def _curves(facts: Facts, name: str, part: str, shown: list[Trial], histories: dict[int, list[dict[str, float]]], values: list[float]) -> Markup:  # fmt: skip
    key = name if part == "training" else f"val_{name}"
    log = name == "loss" and axes.is_wide(values)
    longest = max(len(histories[t.number]) for t in shown)
    title = f"{axes.capital(name)}, {part}"
    ordered = sorted(values)  # one that went astray does not flatten all others
    clipped = [v for v in values if v <= ordered[int(0.98 * (len(ordered) - 1))] * 1.5] if ordered[0] > 0 else values
    frame = axes.frame(title, "epoch", name.replace("_", " "), [1, max(longest, 2)], clipped, log_y=log)
    lines = []
    for trial in sorted(shown, key=lambda t: t is facts.winner):  # the best on top
        points = [(i, row[key]) for i, row in enumerate(histories[trial.number], 1) if key in row]
        score = score_of(trial, facts.measure)
        told = f"trial {trial.number}" + (f" ({trial.space})" if facts.is_several else "") + f", {len(points)} epochs"
        told += f", {facts.measure} {show_number(score)}" if score is not None and trial.reason is None else f", {trial.reason}" if trial.reason else ""  # fmt: skip
        lines.append(charts.line(frame, points, told, "line best" if trial is facts.winner else "line"))
    return charts.draw(frame, filter(None, lines))


# Cost -----------------------------------------------------------------------------------------------------------------


def pareto(facts: Facts) -> Markup:
    """Score against cost; the front is of those that nothing beats in both."""
    done = [t for t in facts.scored if t.is_complete] or facts.scored
    costs: list[tuple[str, Callable[[Trial], float | None]]] = [
        ("parameters", parameters_of),
        ("seconds of an epoch", epoch_seconds),
        ("operations for a row", lambda t: cost_of(t, "flops")[0]),
    ]
    shown = [_pareto(facts, name, of, done) for name, of in costs if sum(of(t) is not None for t in facts.scored) > 1]
    if not shown:
        return Markup()
    filled = "Filled marks trained to the end" if any(t.is_complete for t in done) else "No trial trained to the end"
    said = f"{filled}; the line joins those that no other beats in both cost and {facts.measure}. Hollow ones were stopped earlier. The large mark is the best trial."  # fmt: skip
    extra = [charts.key("line front", "Pareto front")]
    legend = charts.legend(facts.spaces[:6] if facts.is_several else ["trial"], extra=extra)
    return section("Score against cost", paragraph(said, kind="note"), legend, element("div", *shown, class_="charts"))


def _pareto(facts: Facts, name: str, of: Callable[[Trial], float | None], done: list[Trial]) -> Markup:
    points = {t.number: (cost, t.scores[facts.measure]) for t in facts.scored if (cost := of(t)) is not None}
    costs = [cost for cost, _ in points.values()]
    log = min(costs) > 0 and max(costs) > 8 * min(costs)
    scores = sorted(score for _, score in points.values())
    if facts.measure == LOSS:
        scores = [s for s in scores if s <= scores[int(0.95 * (len(scores) - 1))]]
    title = f"{axes.capital(facts.measure)} against {name}"
    frame = axes.frame(
        title,
        name,
        f"{facts.measure}, validation",
        costs,
        scores,
        log_x=log,
        log_y=facts.measure == LOSS and axes.is_wide(scores),
    )
    best = charts.front((points[t.number][0], facts.sign * points[t.number][1]) for t in done if t.number in points)
    marks = [charts.steps(frame, [(cost, facts.sign * score) for cost, score in best])]
    for trial in sorted(facts.scored, key=lambda t: t is facts.winner):
        if trial.number in points:
            cost, score = points[trial.number]
            colour = facts.spaces.index(trial.space)
            told = f"trial {trial.number} ({trial.space}): {facts.measure} {show_number(score)}, {axes.short(cost)} {name}, {trial.trained} epochs"  # fmt: skip
            marks.append(charts.dot(frame, (cost, score), told, colour=colour, hollow=trial not in done, large=trial is facts.winner))  # fmt: skip
    return charts.draw(frame, filter(None, marks))


def costs(facts: Facts) -> Markup:
    """What trials cost, as predicted before they trained and as measured."""
    shown = []
    for name, title, form in (("bytes", "memory", bytes_), ("seconds", "time of an epoch", seconds)):
        pairs = [(t, p, m) for t in facts.trials for p, m in [cost_of(t, name)] if p and m]
        if not pairs:
            continue
        values = [v for _, p, m in pairs for v in (p, m)]
        frame = axes.frame(
            f"{axes.capital(title)}: measured against predicted", f"predicted ({_unit(name)})", f"measured ({_unit(name)})", values,
            values, log_x=True, log_y=True,
        )  # fmt: skip
        low, high = frame.x.low, frame.x.high
        marks = [charts.line(frame, [(low, low), (high, high)], None, "line ideal")]
        marks += [charts.dot(frame, (p, m), f"trial {t.number}: predicted {form(p)}, measured {form(m)}") for t, p, m in pairs]  # fmt: skip
        within = sum(abs(p - m) <= TOLERATED[name] * m for _, p, m in pairs)
        note = f"{within} of {len(pairs)} within {TOLERATED[name]:.0%}; on the line they are equal."
        shown.append(charts.draw(frame, filter(None, marks), note))
    if not shown:
        return Markup()
    return section("Predicted and actual cost", element("div", *shown, class_="charts"))


def _unit(name: str) -> str:
    return {"bytes": "bytes", "seconds": "s"}[name]


def failures(facts: Facts) -> Markup:
    """Those without a score, by reason."""
    if not facts.trials:
        return Markup()
    groups: dict[str, list[Trial]] = defaultdict(list)
    for trial in facts.failed:
        groups[str(trial.reason).split(":")[0]].append(trial)
    if not groups:
        return section("Failures", paragraph("Every trial got a score."))
    rows = [
        [kind, number(len(trials), "d"), _numbers(trials), str(trials[0].reason).partition(":")[2].strip()]
        for kind, trials in sorted(groups.items(), key=lambda item: -len(item[1]))
    ]
    heads = ["reason", "trials", "which", "the first of them"]
    return section("Failures", table(heads, rows, label="Trials that failed or were rejected"))


def _numbers(trials: list[Trial]) -> str:
    few = ", ".join(str(t.number) for t in trials[:10])
    return few + (f" and {len(trials) - 10} more" if len(trials) > 10 else "")

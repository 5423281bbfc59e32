"""Which choices mattered.

All trials of a space were trained to the first rung, for as many epochs; their scores there can be compared, which those of the
later rungs cannot, as only the best came that far. Where all trials of a space have the same holes, Optuna's PED-ANOVA
(Watanabe, Bansal and Hutter 2023) tells how much the good trials differ from all of them in each hole. Where holes appear
only in some, that does not apply; there it is told how much of the variance of the ranks lies between the values of a hole
(Kruskal and Wallis 1952, as eta squared: Tomczak and Tomczak 2014), among the trials that have it.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from autoarch.report import charts
from autoarch.report.facts import Facts, guarded
from autoarch.report.markup import Markup, element, number, paragraph, score_cell, section, table
from autoarch.space import SPACE
from autoarch.study import Trial
from autoarch.values import short_names, short_value
from layerkit.ir import Array

FEWEST = 12  # trials below which nothing is said
FEWEST_OPTUNA = 20  # PED-ANOVA looks at the best tenth: at least two
GROUPS = 4  # that numbers of a range are put into
SHUFFLES = 400
CHANCE = 0.05


@dataclass(frozen=True)
class Hole:
    """A hole, and what is known of its effect.

    Attributes:
        path: in the spec, with the space.
        name: in few words.
        trials: that have it.
        share: of what explains the scores, 0 to 1.
        p: how often shuffled scores explain as much.
        best: the values that did best, and their mean score.
    """

    path: str
    name: str
    trials: int
    share: float
    p: float
    best: tuple[str, float, int]


@dataclass(frozen=True)
class Importance:
    """Of the holes of one space, or of the choice among the spaces.

    Attributes:
        title: which.
        method: how ``share`` was found.
        holes: the most important first.
    """

    title: str
    method: str
    holes: list[Hole]


PED, OWN = "PED-ANOVA", "between groups"


def importance(facts: Facts) -> Markup:
    """A table for each space."""
    if not facts.trials:
        return Markup()
    scored = [t for t in facts.trials if _score(t, facts.measure) is not None]
    if len(scored) < FEWEST:
        text = f"{len(scored)} trials with a score are too few to tell which choices mattered; {FEWEST} are needed."
        return section("Importance of choices", paragraph(text))
    found = of_spaces(facts, scored)
    if not found:
        text = f"No space has {FEWEST} trials with a score, which it takes to tell which choices mattered."
        return section("Importance of choices", paragraph(text))
    parts: list[Markup] = [paragraph(_said(facts, {f.method for f in found}), kind="note")]
    for one in found:
        heads = ["choice", "importance", "", "by chance as much", "trials", "did best", f"mean {facts.measure} there"]
        rows = [
            [h.name, charts.bar(h.share), number(h.share, ".0%"), _chance(h.p), number(h.trials, "d"), f"{h.best[0]} ({h.best[2]} trials)",
             score_cell(h.best[1])] for h in one.holes
        ]  # fmt: skip
        if len(found) > 1:
            parts.append(element("h3", one.title))
        parts.append(table(heads, rows, label=f"Importance of choices: {one.title}"))
    few = [s for s in facts.spaces if s not in {f.title for f in found}]
    if few:
        parts.append(paragraph(f"Too few trials with a score ({FEWEST} are needed) for the choices in {', '.join(few)}.", kind="note"))  # fmt: skip
    return section("Importance of choices", *parts)


def _said(facts: Facts, methods: set[str]) -> str:
    text = f"By the {facts.measure} after the first rung, where all trials had trained for as long. "
    if PED in methods:
        text += "Importance is Optuna's PED-ANOVA: how much the best tenth differ from all in this choice; shares add up to 100 %. "  # fmt: skip
    if OWN in methods:
        text += "Importance is the share of the variance of the trials' ranks that lies between the values of a choice (eta squared of Kruskal and Wallis), among the trials that have it; Optuna's evaluators need trials that all have the same choices, and enough of them. "  # fmt: skip
    return text + f"A choice whose scores, shuffled, explain as much in more than {CHANCE:.0%} of {SHUFFLES} tries may not matter at all. The sampler did not try all values as often: what it believed to be good, it tried more."  # fmt: skip


def _chance(p: float) -> Markup:
    return element("span", number(p, ".1%"), ", perhaps chance" if p > CHANCE else None, class_="whole")


def of_spaces(facts: Facts, scored: Sequence[Trial]) -> list[Importance]:
    """The choice among spaces, if there are several; then the holes of each space that has trials enough."""
    found = []
    groups = defaultdict(list)
    for trial in scored:
        groups[trial.space].append(trial)
    if len(groups) > 1:
        hole = _between(SPACE, "the space", [(t.space, _need(t, facts.measure)) for t in scored], facts.sign)
        found += [Importance("the choice among the spaces", OWN, [hole])] if hole is not None else []
    for space, trials in groups.items():
        if len(trials) >= FEWEST:
            one = _of_space(space, trials, facts)
            found += [one] if one.holes else []
    return found


def _of_space(space: str, trials: Sequence[Trial], facts: Facts) -> Importance:
    names = sorted({name for t in trials for name in t.drawn.parameters if name != SPACE})
    paths = _paths(names, space)
    short = dict(zip(names, short_names([paths[n] for n in names]), strict=True))
    holes = {}
    for name in names:
        pairs = [
            (t.drawn.values.get(paths[name]), _need(t, facts.measure)) for t in trials if name in t.drawn.parameters
        ]
        hole = _between(name, short[name], pairs, facts.sign)
        if hole is not None:
            holes[name] = hole
    is_whole = all(set(t.drawn.parameters) - {SPACE} == set(names) for t in trials)
    if is_whole and len(trials) >= FEWEST_OPTUNA:
        shares, why = guarded(_by_optuna, trials, list(holes), facts)
        if why is None and shares is not None:
            made = [Hole(h.path, h.name, h.trials, shares[n], h.p, h.best) for n, h in holes.items()]
            return Importance(space, PED, sorted(made, key=lambda h: (-h.share, h.path)))
    return Importance(space, OWN, sorted(holes.values(), key=lambda h: (-h.share, h.path)))


def _paths(names: Sequence[str], space: str) -> dict[str, str]:
    """The path in the spec of each of the sampler's parameters, which are named '<space>/<path> <what is allowed>'."""
    return {name: name.removeprefix(f"{space}/").split(" ", 1)[0] for name in names}


def _score(trial: Trial, measure: str) -> float | None:
    first = trial.results.get(0)
    return None if first is None or first.reason is not None else first.scores.get(measure)


def _need(trial: Trial, measure: str) -> float:
    score = _score(trial, measure)
    assert score is not None
    return score


def _by_optuna(trials: Sequence[Trial], names: list[str], facts: Facts) -> dict[str, float] | None:
    """Shares that add up to 1; None where Optuna cannot tell."""
    import warnings

    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(direction="maximize")
        for trial in trials:
            study.add_trial(optuna.trial.create_trial(
                value=facts.sign * _need(trial, facts.measure), params={n: trial.drawn.parameters[n] for n in names},
                distributions={n: optuna.distributions.json_to_distribution(trial.drawn.distributions[n]) for n in names},
            ))  # fmt: skip
        try:
            found = optuna.importance.get_param_importances(
                study, evaluator=optuna.importance.PedAnovaImportanceEvaluator(), params=names
            )
        except (ValueError, ImportError):
            return None
    shares = {name: float(found.get(name, 0.0)) for name in names}
    return shares if all(math.isfinite(s) for s in shares.values()) and sum(shares.values()) > 0 else None


def _between(path: str, name: str, pairs: Sequence[tuple[Any, float]], sign: int) -> Hole | None:
    """What lies between the values of a hole; None where there are fewer than two values, or too few trials."""
    labels, shown = _groups([value for value, _ in pairs])
    scores = np.array([score for _, score in pairs])
    counts = Counter(labels)
    if len(pairs) < FEWEST or sum(n > 1 for n in counts.values()) < 2:
        return None
    ranks = _ranks(sign * scores)
    members = np.array([list(shown).index(label) for label in labels])
    share = _eta_squared(ranks, members, len(shown))
    rng = np.random.default_rng(0)
    as_much = sum(_eta_squared(rng.permutation(ranks), members, len(shown)) >= share - 1e-12 for _ in range(SHUFFLES))
    means = {label: float(scores[members == i].mean()) for i, label in enumerate(shown) if counts[label] > 1}
    best = max(means, key=lambda label: sign * means[label])
    return Hole(path, name, len(pairs), max(0.0, share), (as_much + 1) / (SHUFFLES + 1), (shown[best], means[best], counts[best]))  # fmt: skip


def _groups(values: Sequence[Any]) -> tuple[list[str], Mapping[str, str]]:
    """A label for each value, and what is shown for each label: numbers of a range go into a few groups of equal size."""
    numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    if not numbers or len(set(values)) <= 2 * GROUPS:
        labels = [json.dumps(v, sort_keys=True, default=str) for v in values]
        order = sorted(dict(zip(labels, values, strict=True)).items(), key=lambda item: item[1] if numbers else item[0])
        return labels, {label: short_value(value) for label, value in order}
    edges = np.quantile(np.array(values, "float64"), np.linspace(0, 1, GROUPS + 1)[1:-1])
    found = np.searchsorted(edges, np.array(values, "float64"), side="left")
    shown = {}
    for i in sorted(set(found.tolist())):
        own = [v for v, g in zip(values, found, strict=True) if g == i]
        shown[str(i)] = f"{short_value(min(own))} to {short_value(max(own))}"
    return [str(i) for i in found], shown


def _ranks(values: Array) -> Array:
    """From 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _eta_squared(ranks: Array, members: Array, groups: int) -> float:
    """(H - k + 1) / (n - k), where H is Kruskal and Wallis's."""
    counts = np.bincount(members, minlength=groups)
    sums = np.bincount(members, weights=ranks, minlength=groups)
    n, k = len(ranks), int((counts > 0).sum())
    variance = float(ranks.var())
    if n <= k or variance == 0:
        return 0.0
    used = counts > 0
    between = float((counts[used] * (sums[used] / counts[used] - ranks.mean()) ** 2).sum())
    statistic = (n - 1) * between / (n * variance)
    return (statistic - k + 1) / (n - k)

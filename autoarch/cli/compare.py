"""``autoarch compare``: several searches beside each other."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from autoarch.cli.running import RUN
from autoarch.ranking import sign
from layerkit.cli.shared import Verb, print_json, show_table
from layerkit.training.progress import show_number


@click.command(cls=Verb)
@click.argument("runs", type=RUN, nargs=-1, required=True)
def compare(runs: tuple[Path, ...], as_json: bool) -> None:
    """Compare what RUNS found: the winners on the sealed test, and what they cost.

    Scores of different data, or of different test parts, say nothing about each other: then a warning says so.
    """
    from autoarch.python import Result

    if len(runs) < 2:
        raise click.UsageError("give two runs or more.")
    found = [_summary(Result(run)) for run in runs]
    same = len({(str(f["data"]), str(f["rows"]), f["measure"]) for f in found}) == 1
    changes = _changes(found)
    for summary in found:
        del summary["winner"]
    if as_json:
        print_json({"comparable": same, "runs": found, "winners_differ_in": changes})
        return
    names = [name for name in found[0] if name not in ("run", "rows", "measure", "data")]
    show_table(
        {"": "left", **{str(f["run"]): "right" for f in found}},
        [[name.replace("_", " "), *(_shown(f[name]) for f in found)] for name in names],
        title=str(found[0]["measure"]).replace("_", " "),
    )
    for line in changes:
        click.echo(line)
    if not same:
        parts = "; ".join(f"{f['run']}: {f['data']} {f['rows']}" for f in found)
        click.echo(f"warning: the runs have other data, or other parts of them: {parts}", err=True)


def _summary(result: Any) -> dict[str, Any]:
    """What is compared of a run."""
    from autoarch.options import options_from
    from autoarch.study import Study

    facts = result.facts
    best = next(row for row in result.leaderboard if row["trial"] == facts["best_trial"])
    with Study.open(result.folder, alone=False) as study:
        options = options_from(study.options)
    section = result.best_spec.data_section()
    return {
        "run": str(result.folder),
        "data": options.data or (section.source.config if section is not None else None),
        "rows": facts["rows"], "measure": facts["measure"],
        "validation": facts["model"].get("validation"), "test": facts["model"].get("test"),
        "interval": facts.get("interval"),
        "best_baseline": _best_baseline(facts), "beats_baselines": facts.get("beats_baselines"),
        "parameters": result.best_model.count_params(), "space": facts["space"], "best_trial": facts["best_trial"],
        "epochs": best["epochs"], "trials": facts["trials"], "failed": facts["failed"], "seed": options.seed,
        "sampler": options.sampler, "winner": result.best_model,
    }  # fmt: skip


def _best_baseline(facts: Mapping[str, Any]) -> str | None:
    scores = {name: row["test"] for name, row in facts["baselines"].items() if row.get("test") is not None}
    if not scores:
        return None
    name = max(scores, key=lambda n: sign(facts["measure"]) * scores[n])
    return f"{name} {show_number(scores[name])}"


def _changes(found: list[dict[str, Any]]) -> list[str]:
    """How the winner of each run differs from the first run's, layer by layer."""
    from layerkit.cli.diff import differences, line, parts

    first = parts(found[0]["winner"])
    lines = []
    for other in found[1:]:
        changed = [line(change) for change in differences(first, parts(other["winner"]))]
        lines += [f"{found[0]['run']} -> {other['run']}:" + ("" if changed else " equal architectures")]
        lines += [f"  {text}" for text in changed]
    return lines


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return show_number(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return " to ".join(_shown(v) for v in value)
    return "" if value is None else str(value)

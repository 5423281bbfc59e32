"""The report: what is in it, that nobody's words become HTML, that it holds 1,000 trials; its charts and importances."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from click.testing import CliRunner

from autoarch import sessions
from autoarch.boards import board
from autoarch.cli import cli
from autoarch.report import axes, charts, importance, write
from autoarch.report.facts import read
from autoarch.report.markup import element, escape, table
from autoarch.space import Drawn
from autoarch.study import Trial
from autoarch.tasks import Result
from layerkit.errors import StateError
from layerkit.saving.locks import alone

VOID = {"meta", "link", "br", "hr", "img"}
EVIL = "</td><script>alert('1')</script>\" onload=\"x\x00\x1b[31m"


class Page(HTMLParser):
    """Tags that close as they opened; what they hold."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, dict(attrs)))
        if tag == "h2":
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data
        if self.open[-1:] == ["h2"]:
            self.headings[-1] += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def page_of(folder) -> Page:
    return Page(write(folder).read_text(encoding="utf-8"))


CLASSES = {"classes": [f"digit {i}" for i in range(3)], "confusion": [[30, 2, 0], [1, 28, 0], [0, 0, 33]]}
FINALISTS = {
    "finalists": [
        {"trial": 1, "validation": [0.98, 0.97], "mean": 0.975, "interval": [0.91, 1.0], "failed": ["diverged"]}
    ],
    "seeds": {"test": [0.98, 0.96], "mean": 0.97, "interval": [0.84, 1.0]},
    "selection_bias": {
        "apparent": 0.02,
        "corrected": 0.0323,
        "low": 0.01,
        "high": 0.05,
        "bias": 0.0123,
        "candidates": 28,
        "rows": 288,
    },
    "findings": [
        {"kind": "leakage", "is_serious": True, "text": "column 'id' counts the rows", "columns": ["id"], "count": 9}
    ],
}


@pytest.fixture
def finished(made_run):
    return made_run(30, costs=True, **CLASSES, **FINALISTS)


def test_a_finished_run_answers_everything(finished):
    page = page_of(finished)
    assert page.headings == [
        "In short", "Checks of the data", "The best spec", "Leaderboard", "Learning curves", "Score against cost",
        "Importance of choices", "Mistakes on the sealed test", "Predicted and actual cost", "Failures",
        "Finalists and selection", "Repeat it",
    ]  # fmt: skip
    for said in (
        "30 trials", "accuracy of 0.9831 (95 % interval 0.9635 to 0.9922)", "better than every baseline (p < 0.02 against each)",
        "Serious: column 'id' counts the rows", "taken for", "0.0123", "diverged", "rejected", "learning_rate", "91 of 94 rows",
        "layerkit train run/best.yaml --seed 0",
    ):  # fmt: skip
        assert said in page.text, said
    names = {svg.get("aria-label") for svg in page.all("svg")}
    assert {"Loss, training", "Accuracy, validation", "Accuracy against parameters"} <= names
    assert len(page.all("script")) == 1


def test_the_best_spec_is_the_file_that_a_user_gets(finished):
    (finished / "best.yaml").write_text("layerkit: 1\nname: short\n")
    assert "name: short" in page_of(finished).text


def test_nothing_is_fetched(finished):
    text = write(finished).read_text(encoding="utf-8")
    assert not re.search(
        r"https?:|//[a-z]|url\(|@import|fetch\(|XMLHttp|srcset", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    )
    page = Page(text)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            value = attributes.get(name)
            assert value is None or value.startswith(("data:", "#")), (tag, value)
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert {link["href"][1:] for link in page.all("a")} <= ids


def test_words_of_others_stay_words(made_run):
    folder = made_run(
        20, spaces=("a", "b"), classes=[EVIL, "b", EVIL], confusion=[[5, 1, 0], [0, 4, 0], [0, 0, 3]], notes=[EVIL],
        findings=[{"text": EVIL}], train=EVIL,
    )  # fmt: skip
    (folder / "sessions.jsonl").write_text(
        json.dumps({"command": EVIL, "folder": EVIL, "versions": {EVIL: EVIL}}) + "\n{cut"
    )
    page = page_of(folder)
    assert len(page.all("script")) == 1
    assert all("onload" not in attributes for _, attributes in page.tags)
    assert page.text.count("<script>alert('1')</script>") > 8
    assert "\x00" not in page.text
    assert "\x1b" not in page.text


@pytest.mark.parametrize("is_held", [True, False])
def test_a_run_without_a_result_says_so(made_run, is_held):
    folder = made_run(10, finished=False)
    with alone(folder / ("lock" if is_held else "other"), waits=False):
        page = page_of(folder)
    assert ("still going on" in page.text) == is_held
    assert ("autoarch resume" in page.text) == (not is_held)
    assert "still sealed" in page.text
    assert "The best spec so far" in page.headings


def test_a_run_that_failed_says_why(made_run):
    folder = made_run(10, finished=False)
    with pytest.raises(StateError), sessions.noted(folder, "autoarch search x.yaml", 2):
        raise StateError("a worker cannot go on.", got="disk <full>")
    page = page_of(folder)
    assert "The last command failed: a worker cannot go on. disk <full>" in page.text
    assert "autoarch search x.yaml" in page.text
    with sessions.noted(folder, "autoarch resume run", 1):
        pass
    assert "failed: a worker" not in page_of(folder).text
    assert [set(s) >= {"command", "ended"} for s in sessions.sessions(folder)] == [True, True]


def test_a_run_in_which_nothing_was_measured(made_run):
    assert "no trial has a score yet" in page_of(made_run(0, finished=False)).text


def test_no_claim_is_told(made_run):
    page = page_of(made_run(10, beats_baselines=False, claim={}))
    assert "No candidate beats the baselines." in page.text


def test_a_regression_shows_residuals(made_run):
    sample = {"true": [[1.0], [2.0], [4.0]], "predicted": [[1.5], [2.0], [3.0]]}
    residuals = {"mean": -0.1667, "mean_absolute": 0.5, "explained": 0.7, "sample": sample}
    page = page_of(made_run(10, measure="mean_squared_error", residuals=residuals))
    assert "mean absolute error 0.5" in page.text
    assert "true 1, predicted 1.5" in page.text
    assert "Errors" in {svg.get("aria-label") for svg in page.all("svg")}


def test_scores_that_are_large_or_tiny_keep_their_digits(made_run):
    scores = {"validation": 4.1e15, "test": 0.0000123}
    page = page_of(made_run(20, measure="mean_squared_error", model=scores, baselines={"mean": scores}, interval=[1.5e15, 6e15]))  # fmt: skip
    for text in ("4.100e+15", "1.230e-05", "1.500e+15 to 6.000e+15"):
        assert text in page.text
    trial = Trial(0, 0, "a", 1, "", Drawn({}, {}), "")
    trial.results[0] = Result({"loss": 4.1e15, "mean_squared_error": 0.0000123})
    table = board([trial], width=160)
    shown = {str(column.header): list(column.cells) for column in table.columns}
    assert "4.100e+15" in shown["loss"]


@pytest.mark.slow
def test_a_thousand_trials_make_a_small_file(made_run):
    path = write(made_run(1000, spaces=("a", "b", "c"), costs=True))
    assert path.stat().st_size < 3e6
    assert Page(path.read_text(encoding="utf-8")).text.count("rejected") > 50


def test_the_command(made_run, tmp_path):
    folder = made_run(5, finished=False)
    out = tmp_path / "elsewhere.html"
    result = CliRunner().invoke(cli, ["report", str(folder), "--out", str(out), "--json"])
    assert json.loads(result.output)["report"] == str(out)
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert CliRunner().invoke(cli, ["report", str(tmp_path)]).exit_code == 1


# Markup and charts ----------------------------------------------------------------------------------------------------


def test_attributes_and_cells_are_escaped():
    assert element("p", title='"<') == '<p title="&quot;&lt;"></p>'
    assert "&lt;i&gt;" in table(["<i>"], [["x"]], label="t")
    assert escape("\ud800") == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3, 7), (0.998, 0.9991), (1e-9, 3e-9), (0, 123456)])
def test_ticks_are_round_and_inside(low, high):
    found = axes.ticks(low, high)
    assert 3 <= len(found) <= 8
    assert all(low - 1e-12 <= t <= high * (1 + 1e-9) for t in found)
    assert all(float(f"{t:.6g}") == pytest.approx(t, abs=1e-15) for t in found)


@pytest.mark.parametrize("values", [[1.0], [0.0, 0.0], [], [float("nan"), 2.0], [1e-300, 1e300], [-5.0, -5.0]])
@pytest.mark.parametrize("log", [False, True])
def test_any_numbers_give_a_chart(values, log):
    frame = axes.frame("t", "x", "y", values, values, log_x=log, log_y=log)
    text = charts.draw(frame, filter(None, [charts.line(frame, [(v, v) for v in values])]))
    assert "nan" not in text
    assert "inf" not in text


def test_the_front_is_of_those_that_nothing_beats():
    points = [tuple(p) for p in np.random.default_rng(0).integers(0, 12, (40, 2)).tolist()]
    beaten = {p for p in points for q in points if q != p and q[0] <= p[0] and q[1] >= p[1]}
    assert charts.front(points) == sorted(set(points) - beaten)


# Importance -----------------------------------------------------------------------------------------------------------


def test_eta_squared_of_three_groups_by_hand():
    """Ranks 1 2 | 3 4 | 5 6: H = 12/42 (9 + 49 + 121)/2 - 21 = 4.571; (H - 2) / 3."""
    found = importance._eta_squared(np.arange(1.0, 7), np.array([0, 0, 1, 1, 2, 2]), 3)
    assert found == pytest.approx((12 / 42 * 89.5 - 21 - 2) / 3)


def test_ranks_of_equal_values_are_shared():
    assert importance._ranks(np.array([3.0, 1.0, 3.0, 2.0])).tolist() == [3.5, 1.0, 3.5, 2.0]


@pytest.mark.parametrize(("choice", "method"), [(None, importance.OWN), ("", importance.PED)])
def test_the_choice_that_decides_is_the_most_important(made_run, choice, method):
    folder = made_run(60, spaces=("a", "b"), **({} if choice is None else {"choice": choice}))
    facts = read(folder)
    found = importance.of_spaces(facts, [t for t in facts.trials if 0 in t.results and t.results[0].scores])
    among, *spaces = found
    assert among.holes[0].p > 0.05  # the spaces are alike
    assert [one.title for one in spaces] == ["a", "b"]
    for one in spaces:
        assert one.method == method
        assert one.holes[0].name == "learning_rate"
        assert one.holes[0].p < 0.05


def test_few_trials_tell_nothing_of_choices(made_run):
    assert "too few to tell which choices mattered" in page_of(made_run(9)).text

"""The commands in docs/command.md, as they stand there; every verb is among them."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from layerkit.cli import VERBS, cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "command.md").read_text(encoding="utf-8")
COMMANDS = [line for block in re.findall(r"```sh\n(.*?)```", TEXT, re.S) for line in block.splitlines()]
(README,) = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


@pytest.mark.slow
def test_commands_of_the_guide_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = {}
    for line in COMMANDS:
        name, *arguments = shlex.split(line)
        assert name == "layerkit"
        result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
        shown[line] = result.stdout
    expected = re.findall(r"^images.yaml: ok; .* for one sample", TEXT, re.M)[0]
    assert shown["layerkit check images.yaml tabular.yaml"].startswith(expected)
    assert len((tmp_path / "predictions.csv").read_text().splitlines()) == 801
    assert "no differences" in shown["layerkit diff images.yaml runs/first"]
    assert (tmp_path / "images.svg").read_text().startswith("<svg")


@pytest.mark.slow
def test_commands_of_the_readme_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    verbs = []
    for line in README.splitlines():
        name, *arguments = shlex.split(line, comments=True)
        assert name == "layerkit"
        verbs.append(arguments[0])
        if arguments[0] == "train":
            arguments += ["--set", "fit.epochs=2"]
        if arguments[0] != "tune":  # takes half a minute; tests/engines/test_tuning.py runs it
            result = CliRunner().invoke(cli, arguments, catch_exceptions=False)
            assert result.exit_code == 0, f"{line}\n{result.output}"
    assert sorted(verbs) == sorted(VERBS)
    assert len((tmp_path / "digits.csv").read_text().splitlines()) == 356


def test_every_verb_is_in_the_guide():
    named = {shlex.split(line)[1] for line in COMMANDS}
    assert named | {"tune"} == set(VERBS)
    assert "layerkit tune" in TEXT

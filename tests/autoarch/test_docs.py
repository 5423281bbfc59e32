"""docs/search.md: its commands and its program run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import autoarch.cli
import layerkit.cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/search.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
COMMANDS = {"autoarch": autoarch.cli.cli, "layerkit": layerkit.cli.cli}


@pytest.mark.heavy
def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in BLOCK.splitlines():
        name, *arguments = shlex.split(command, comments=True)
        result = CliRunner().invoke(COMMANDS[name], arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output


def test_every_verb_is_shown_and_the_readme_shows_the_first():
    lines = BLOCK.splitlines()
    assert {line.split()[1] for line in lines if line.startswith("autoarch")} == set(autoarch.cli.VERBS)
    assert re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL) == [
        f"{lines[0]}\n"
    ]


@pytest.mark.slow
def test_the_program(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(block, {})
    first, *table = capsys.readouterr().out.splitlines()
    assert float(first) > 0.9
    assert table[0].split()[:3] == ["rank", "trial", "space"]

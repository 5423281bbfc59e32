"""docs/search.md: its commands and its program run as they stand there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

import autoarch.cli
import layerkit.cli

TEXT = (Path(__file__).parents[2] / "docs/search.md").read_text(encoding="utf-8")
COMMANDS = {"autoarch": autoarch.cli.cli, "layerkit": layerkit.cli.cli}


@pytest.mark.heavy
def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```sh\n(.*?)```", TEXT, re.DOTALL)
    for command in block.splitlines():
        name, *arguments = shlex.split(command, comments=True)
        result = CliRunner().invoke(COMMANDS[name], arguments, catch_exceptions=False)
        assert result.exit_code == 0, result.output


@pytest.mark.slow
def test_the_program(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    exec(block, {})
    first, *table = capsys.readouterr().out.splitlines()
    assert float(first) > 0.9
    assert table[0].split()[:3] == ["rank", "trial", "space"]

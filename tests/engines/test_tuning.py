"""The choice of register tiles that was measured: kept, found again, and ignored where it does not fit or is switched off."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from layerkit.cli import cli
from layerkit.engines.llvm.codegen import tuner
from layerkit.engines.llvm.codegen.cache import FOLDER, ObjectCache
from layerkit.engines.llvm.codegen.target import host

HERE, OTHER = ("triple", "cpu", "+avx2", "llvmlite 1"), ("triple", "cpu", "+avx512f", "llvmlite 1")
ODD = tuple(tuner.Choice(c.vectors, 3, 2) for c in tuner.model(32))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(FOLDER, str(tmp_path))


def test_a_choice_is_found_again_for_the_same_processor_only():
    tuner.store(HERE, ODD)
    assert tuner.chosen(HERE, 32) == ODD
    assert tuner.chosen(OTHER, 32) == tuner.model(32)
    assert tuner.chosen(HERE, 16) == tuner.model(16)  # other panels: it does not fit


def test_a_damaged_choice_is_ignored():
    tuner.store(HERE, ODD)
    (path,) = ObjectCache.default().entries()
    path.write_bytes(path.read_bytes()[:-3] + b"7]]")
    assert tuner.chosen(HERE, 32) == tuner.model(32)
    assert not path.exists()


def test_a_choice_can_be_left_aside(monkeypatch):
    tuner.store(HERE, ODD)
    monkeypatch.setenv(tuner.SWITCH, "0")
    assert tuner.chosen(HERE, 32) == tuner.model(32)


@pytest.mark.slow
def test_the_command_measures_and_keeps_a_choice(monkeypatch):
    from layerkit.engines.llvm.tiles import tuning

    few = [tuning.Measured(c.vectors, r, 1.0, 1.0) for c in host().tiles for r in {c.rows, c.rows_t}]
    better = tuning.Measured(1, 5, *tuning._rates(host(), 1, 5))
    monkeypatch.setattr(tuning, "measure", lambda target: iter([*few, better]))
    result = CliRunner().invoke(cli, ["tune"])
    assert result.exit_code == 0
    assert "5 and 5 rows of 1" in result.output
    host.cache_clear()
    try:
        assert host().tiles[0] == tuner.Choice(1, 5, 5)
    finally:
        host.cache_clear()

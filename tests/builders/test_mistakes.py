"""What a newcomer does wrong, and the whole text that says how to mend it.

Each ``mistakes/NAME.yaml`` has its faults in ``mistakes/NAME.txt``. A text is changed by hand, and read as a newcomer would.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

import builders
from builders.source import report
from layerkit.errors import SpecErrors

MISTAKES = sorted((Path(__file__).parent / "mistakes").glob("*.yaml"))


@pytest.mark.parametrize("path", MISTAKES, ids=lambda p: p.stem)
def test_the_text_says_how_to_mend_it(path, monkeypatch):
    monkeypatch.setattr("layerkit.layers.input._UNKNOWN", itertools.count())  # sizes that are not known are numbered
    text = path.read_text()
    try:
        errors = builders.loads(text, "spec.yaml").check()
    except SpecErrors as several:
        errors = several.errors
    assert report(errors, text) + "\n" == path.with_suffix(".txt").read_text()
    assert all(e.where is not None and e.got is not None and (e.expected or e.fix) for e in errors)


def test_there_are_mistakes():
    assert len(MISTAKES) >= 20

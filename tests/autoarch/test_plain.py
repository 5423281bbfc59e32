"""Winners' specs as one would write them: short, and the same models."""

from __future__ import annotations

import pytest

import builders
from autoarch.options import prepare
from autoarch.plain import plain
from autoarch.space import propose
from layerkit.ir.fingerprint import fingerprint
from layerkit.models.cost import training_graph


@pytest.mark.slow
def test_what_spaces_give_is_said_shorter():
    spaces = {s.name: builders.loads(s.spec, s.file) for s in prepare([], "digits", trials=1).spaces}
    shorter = 0
    for proposal in propose(spaces, [], 8, seed=1):
        short = plain(proposal.spec)
        shorter += len(short.text.splitlines()) < 45
        assert fingerprint(training_graph(short.build())[0]) == fingerprint(training_graph(proposal.spec.build())[0])
        assert short.fit == proposal.spec.fit
        section, own = short.data_section(), proposal.spec.data_section()
        assert section is not None
        assert section.node.plain() == own.node.plain()
    assert shorter >= 6


def test_what_cannot_be_written_down_stays():
    spec = builders.loads("layerkit: 1\nname: a\ninputs: {x: {shape: [2]}}\nlayers: [{Dens: 3}]\n")
    assert plain(spec) is spec
